//! `lbctl vip list` and `lbctl vip show`.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use lb_api::{PATH_VIPS, Vip};

use super::Outcome;
use crate::{args::Format, output, place::Place, print};

/// Prints all services.
pub(crate) async fn list(place: &Place, format: Format) -> Result<Outcome> {
    let vips = read(place).await?;
    output::document(format, vips.as_slice(), print::vips)?;
    if vips.is_empty() {
        output::say(format_args!("no VIPs are installed"));
    }
    Ok(Outcome::Done)
}

/// Prints the services that `wanted` names, with their backends: a list for machines too, as a name may stand for
/// several ports.
pub(crate) async fn show(place: &Place, format: Format, wanted: &str) -> Result<Outcome> {
    let mut vips = read(place).await?;
    vips.retain(|vip| is_meant(vip, wanted));
    if vips.is_empty() {
        output::say(format_args!("there is no VIP {wanted}: `lbctl vip list` shows all"));
        return Ok(Outcome::Finding);
    }
    output::document(format, vips.as_slice(), print::vip_details)?;
    Ok(Outcome::Done)
}

async fn read(place: &Place) -> Result<Vec<Vip>> {
    place.read(PATH_VIPS, |maps| maps.stats.vips).await
}

/// Whether `wanted` names the service: by name, as it is listed, or by address with or without port and protocol. Any
/// port of a range names it.
fn is_meant(vip: &Vip, wanted: &str) -> bool {
    if vip.name.as_deref() == Some(wanted) || vip.service().eq_ignore_ascii_case(wanted) {
        return true;
    }
    let (place, protocol) = match wanted.rsplit_once('/') {
        Some((place, protocol)) => (place, Some(protocol)),
        None => (wanted, None),
    };
    let at_place = match place.parse::<SocketAddr>() {
        Ok(address) => address.ip() == vip.address && vip.takes(address.port()),
        Err(_) => protocol.is_none() && place.parse::<IpAddr>().is_ok_and(|address| address == vip.address),
    };
    at_place && protocol.is_none_or(|protocol| protocol.eq_ignore_ascii_case(&vip.protocol))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::print::samples;

    #[rstest]
    #[case::name("web", true)]
    #[case::other_name("we", false)]
    #[case::service("192.0.2.10:80/tcp", true)]
    #[case::capitals("192.0.2.10:80/TCP", true)]
    #[case::other_protocol("192.0.2.10:80/udp", false)]
    #[case::endpoint("192.0.2.10:80", true)]
    #[case::other_port("192.0.2.10:443", false)]
    #[case::address("192.0.2.10", true)]
    #[case::address_and_protocol("192.0.2.10/tcp", false)]
    #[case::other_address("192.0.2.11", false)]
    fn a_service_is_named_by_name_or_by_address(#[case] wanted: &str, #[case] expected: bool) {
        assert_eq!(is_meant(&samples::vip(), wanted), expected);
    }

    #[rstest]
    #[case("[2001:db8::10]:443/tcp", true)]
    #[case("[2001:db8:0:0::10]:443", true)]
    #[case("2001:db8::10", true)]
    #[case("2001:db8::10:443", false)]
    fn an_ipv6_service_has_brackets_before_its_port(#[case] wanted: &str, #[case] expected: bool) {
        assert_eq!(is_meant(&samples::nameless_vip(), wanted), expected);
    }
}
