//! The sections of the file and their fields.
//!
//! What concerns one section alone is checked where it is read. VIPs and pools name each other, so they stay in the
//! form in which they were read, with the places of their fields, until [`super::check`] has compared them.

use lb_api::Role;
use xdp_lb::model::Mode;

use super::{
    BackendRole, Forwarding, Icmp, Interface, Log, Node,
    decode::{Elements, Fields, List, list},
    diagnostic::{Checked, Located, Report},
    scalar, yaml,
};

mod backend_role;
mod balancing;
mod health_check;
mod node;

pub(super) use balancing::{Backend, Pool, Vip};

use backend_role::backend_role;

/// The whole file as it was read.
pub(super) struct Document {
    pub(super) role: Checked<Role>,
    pub(super) node: Checked<Node>,
    pub(super) interfaces: Checked<List<Interface>>,
    pub(super) forwarding: Checked<Forwarding>,
    pub(super) icmp: Checked<Icmp>,
    pub(super) log: Checked<Log>,
    /// That of backends whose pool states none.
    pub(super) encapsulation: Checked<Option<Located<Mode>>>,
    /// `None` where the role balances nothing.
    pub(super) vips: Checked<Option<List<Vip>>>,
    /// `None` where there are none.
    pub(super) pools: Checked<Option<List<Pool>>>,
    /// `None` where the role decapsulates nothing.
    pub(super) backend: Checked<Option<BackendRole>>,
}

/// Sections of a node that balances; the other role refuses them.
const INGRESS_ONLY: [&str; 4] = ["forwarding", "icmp", "vips", "pools"];

/// Reads the file's only mapping.
pub(super) fn document(root: &yaml::Node, report: &mut Report) -> Checked<Document> {
    let mut fields = Fields::of(root, "the config", report)?;
    let role = fields.required("role", role).map(|role| role.value);
    let node = fields.or("node", Node::default(), node::node);
    let interfaces = fields.required("interfaces", |node, report| list(node, report, node::interface));
    let log = fields.or("log", Log::default(), node::log);
    let encapsulation = fields.optional("encapsulation", balancing::encapsulation);
    let mut document = Document {
        role,
        node,
        interfaces,
        log,
        encapsulation,
        forwarding: Ok(Forwarding::default()),
        icmp: Ok(Icmp::default()),
        vips: Ok(None),
        pools: Ok(None),
        backend: Ok(None),
    };
    match role {
        Ok(Role::Ingress) => {
            fields.refuse("backend", "has no place on a node of role ingress", "remove it, or set `role: backend`");
            document.balancing(&mut fields);
            document.vips = fields.required("vips", vips).map(Some);
        }
        Ok(Role::Backend) => {
            for section in INGRESS_ONLY {
                fields.refuse(section, "has no place on a node of role backend", "remove it, or set `role: ingress`");
            }
            document.backend = fields.required("backend", backend_role).map(|backend| Some(backend.value));
        }
        // Without a role nothing is missing and nothing is out of place: what is there is read.
        Err(_) => {
            document.balancing(&mut fields);
            document.vips = fields.optional("vips", vips);
            document.backend = fields.or("backend", None, |node, report| backend_role(node, report).map(Some));
        }
    }
    fields.finish();
    Ok(document)
}

impl Document {
    /// Reads the optional sections of a node that balances.
    fn balancing(&mut self, fields: &mut Fields<'_>) {
        self.forwarding = fields.or("forwarding", Forwarding::default(), node::forwarding);
        self.icmp = fields.or("icmp", Icmp::default(), node::icmp);
        self.pools = fields.optional("pools", |node, report| list(node, report, balancing::pool));
    }
}

fn vips(node: &yaml::Node, report: &mut Report) -> Checked<Elements<Vip>> {
    list(node, report, balancing::vip)
}

fn role(node: &yaml::Node, report: &mut Report) -> Checked<Role> {
    let choices = [("ingress", Some(Role::Ingress)), ("backend", Some(Role::Backend)), ("both", None)];
    scalar::choice(node, "a role", &choices, report)?.ok_or_else(|| {
        report.error(
            node.at,
            "a node with both roles needs inline decapsulation, which this version does not have",
            "run the backend role on other nodes",
        )
    })
}
