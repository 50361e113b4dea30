//! Which health checks a config asks for, and what they say about its backends.

use std::collections::{BTreeMap, BTreeSet};

use lb_api::Health as HealthReport;
use xdp_lb::{
    Installed,
    model::{MemberKey, Mode, Service},
};

use crate::{
    config::{BackendConfig, Config, ServiceConfig},
    health::{CheckSpec, State, Statuses},
};

/// The check of a backend as a member of a service; `None` if it is not checked, and then counts as up.
pub fn check_of(service: Service, settings: &ServiceConfig, backend: &BackendConfig) -> Option<CheckSpec> {
    settings.check.as_ref().map(|template| CheckSpec::new(template, &service, backend))
}

/// Every check with the state that it starts from: that of the installed member, so that neither a restart of the
/// agent nor a changed check takes a working backend out; unknown for a backend that is not installed, whose first
/// result decides.
pub fn wanted(config: &Config, installed: &Installed) -> BTreeMap<CheckSpec, State> {
    let mut checks = BTreeMap::new();
    for (service, settings) in &config.services {
        let members = installed.services.get(service).map(|service| &service.members);
        for backend in &settings.backends {
            let Some(check) = check_of(*service, settings, backend) else { continue };
            // A backend that is to be reached in another way is the same backend.
            let in_mode = |mode| MemberKey { mode, ..backend.member() };
            let member = members.and_then(|members| members.range(in_mode(Mode::FIRST)..=in_mode(Mode::LAST)).next());
            let member = member.map(|(_, member)| member);
            let seed = match member {
                Some(member) if member.up => State::Up,
                Some(_) => State::Down,
                None => State::Unknown,
            };
            // One check may speak for several services: if it is up for one, it is not taken out of any.
            let entry = checks.entry(check).or_insert(seed);
            if seed == State::Up {
                *entry = State::Up;
            }
        }
    }
    checks
}

/// Whether the check lets its backend take traffic.
pub fn is_up(statuses: &Statuses, check: &CheckSpec) -> bool {
    statuses.get(check).is_some_and(|status| status.state == State::Up)
}

/// Whether every check has a state.
pub fn are_complete(statuses: &Statuses, wanted: &BTreeSet<CheckSpec>) -> bool {
    wanted.iter().all(|check| statuses.get(check).is_some_and(|status| status.state != State::Unknown))
}

/// The API's words for a backend's health.
pub fn report(statuses: &Statuses, check: Option<&CheckSpec>) -> HealthReport {
    let Some(check) = check else {
        return HealthReport { state: "unchecked".to_owned(), last_error: None, since_seconds: 0 };
    };
    let known = statuses.get(check);
    HealthReport {
        state: known.map_or(State::Unknown, |status| status.state).to_string(),
        last_error: known.and_then(|status| status.last_error.as_deref()).map(str::to_owned),
        since_seconds: known.map_or(0, |status| status.since.elapsed().as_secs()),
    }
}
