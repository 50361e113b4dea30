//! `lbctl explain`.

use anyhow::{Context, Result, bail};
use lb_api::{PATH_VIPS, Role, Vip, report};
use xdp_lb::{
    Pins,
    explain::{Question, explain},
    interface::Interface,
    model::MemberKey,
};
use xdp_lb_abi::ReasonKind;

use super::Outcome;
use crate::{
    args::{Explain, Format},
    output,
    place::Place,
    print::{self, Chosen, Explanation},
};

/// Asks the program, and prints its answer.
pub(crate) async fn run(place: &Place, format: Format, flow: Explain) -> Result<Outcome> {
    let pins = &place.pins().await;
    if report::role(pins)? == Role::Backend {
        bail!("this node decapsulates for its VIPs and chooses no backends: explain the flow on an ingress node");
    }
    let interface = entrance(pins, flow.interface.as_deref())?;
    let question = Question { from: flow.from, to: flow.to, protocol: flow.protocol, interface: interface.index };
    let answer = explain(pins, &question)?;
    if !answer.same_program {
        output::say(format_args!(
            "the attached program is of another release or build than lbctl {}: it may answer differently",
            super::VERSION
        ));
    }
    let backend = match answer.backend {
        Some(member) => {
            let vips: Vec<Vip> = place.read(PATH_VIPS, |maps| maps.stats.vips).await?;
            Some(chosen(&vips, &question, member))
        }
        None => None,
    };
    let explanation = Explanation {
        from: flow.from,
        to: flow.to,
        protocol: flow.protocol.to_string(),
        interface: interface.name,
        verdict: answer.reason.kind().name().to_owned(),
        reason: answer.reason.name().to_owned(),
        description: answer.reason.description().trim().to_owned(),
        backend,
        same_program: answer.same_program,
    };
    output::document(format, &explanation, print::explanation)?;
    Ok(if matches!(answer.reason.kind(), ReasonKind::Forward | ReasonKind::Deliver) {
        Outcome::Done
    } else {
        Outcome::Finding
    })
}

/// The interface that the packet comes in by: the one named, or the first that the program runs on.
fn entrance(pins: &Pins, name: Option<&str>) -> Result<Interface> {
    let name = if let Some(name) = name {
        name.to_owned()
    } else {
        let attached = report::interfaces(pins)?.into_iter().find(|interface| interface.program_id.is_some());
        attached.context("the program runs on no interface: name one with --interface")?.name
    };
    let found = Interface::by_name(&name).with_context(|| format!("cannot look up the interface {name}"))?;
    found.with_context(|| format!("there is no interface {name}: name one of `ip -brief link`"))
}

fn chosen(vips: &[Vip], question: &Question, key: MemberKey) -> Chosen {
    let address = key.tunnel;
    let asked = |vip: &&Vip| {
        let (address, port) = (question.to.ip(), question.to.port());
        vip.address == address && vip.takes(port) && vip.protocol == question.protocol.to_string()
    };
    // A service on a single port takes it out of the range of another.
    let service = vips.iter().filter(asked).min_by_key(|vip| vip.last_port - vip.port);
    let member = service.and_then(|vip| vip.members.iter().find(|member| member.address == address));
    let (name, next_hop) = member.map(|member| (member.name.clone(), member.next_hop.clone())).unwrap_or_default();
    Chosen { name, address, encapsulation: key.encapsulation().name().to_owned(), next_hop }
}
