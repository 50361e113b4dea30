//! `lbctl backend list`.

use std::io::{self, Write};

use lb_api::{Backend, BackendService};

use super::{
    table::Table,
    text::{UNKNOWN, bytes, duration, or_unknown, yes_no},
};

/// One line per backend; if `wide`, one per backend and service with what the health check says.
pub(crate) fn backends(out: &mut dyn Write, backends: &[Backend], wide: bool) -> io::Result<()> {
    if wide { by_service(backends) } else { by_backend(backends) }.write(out)
}

fn by_backend(backends: &[Backend]) -> Table {
    let mut table = Table::new(&["BACKEND", "NAME", "#UP", "HEALTH", "#PACKETS", "#BYTES"]);
    for backend in backends {
        let up = backend.services.iter().filter(|service| service.up).count();
        table.row([
            backend.address.to_string(),
            or_unknown(backend.name.as_ref()),
            format!("{up}/{}", backend.services.len()),
            health(&backend.services),
            backend.packets.to_string(),
            bytes(backend.bytes, false),
        ]);
    }
    table
}

fn by_service(backends: &[Backend]) -> Table {
    let mut table = Table::new(&["BACKEND", "NAME", "SERVICE", "UP", "HEALTH", "#SINCE", "LAST ERROR"]);
    for backend in backends {
        for service in &backend.services {
            let health = service.health.as_ref();
            table.row([
                backend.address.to_string(),
                or_unknown(backend.name.as_ref()),
                service.service.clone(),
                yes_no(service.up),
                or_unknown(health.map(|health| &health.state)),
                or_unknown(health.map(|health| duration(health.since_seconds))),
                or_unknown(health.and_then(|health| health.last_error.as_ref())),
            ]);
        }
    }
    table
}

/// Every state that a service of the backend has, once.
fn health(services: &[BackendService]) -> String {
    let mut states: Vec<_> = services.iter().filter_map(|part| Some(part.health.as_ref()?.state.as_str())).collect();
    states.sort_unstable();
    states.dedup();
    if states.is_empty() { UNKNOWN.to_owned() } else { states.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::{printed, samples};

    #[test]
    fn a_list_sums_up_each_backend() {
        let expected = "\
BACKEND    NAME    UP  HEALTH  PACKETS   BYTES
10.0.0.11  web-1  1/1  up         1200  1.2 MB
10.0.0.12  web-2  0/1  down          0     0 B
";
        assert_eq!(printed(|out| backends(out, &samples::backends(), false)), expected);
    }

    #[test]
    fn a_wide_list_says_why_a_check_fails() {
        let expected = "\
BACKEND    NAME   SERVICE            UP   HEALTH  SINCE  LAST ERROR
10.0.0.11  web-1  192.0.2.10:80/tcp  yes  up       1m1s  -
10.0.0.12  web-2  192.0.2.10:80/tcp  no   down     1m1s  connection refused
";
        assert_eq!(printed(|out| backends(out, &samples::backends(), true)), expected);
    }

    #[test]
    fn without_agent_health_is_unknown() {
        let mut list = samples::backends();
        list.iter_mut().flat_map(|backend| &mut backend.services).for_each(|service| service.health = None);
        let text = printed(|out| backends(out, &list[..1], false));
        assert!(text.ends_with("10.0.0.11  web-1  1/1  -          1200  1.2 MB\n"), "{text}");
    }

    #[test]
    fn a_backend_that_is_up_here_and_down_there_shows_both() {
        let mut list = samples::backends();
        let down = list[1].services.remove(0);
        list[0].services.push(down);
        assert_eq!(health(&list[0].services), "down, up");
    }
}
