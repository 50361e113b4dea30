//! The checker with targets that fail on command and a clock that jumps.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    net::SocketAddr,
    sync::Mutex,
};

use tokio::time::{sleep, timeout};

use super::{super::probe::ProbeError, *};

/// Targets that fail on command, and when each was asked.
#[derive(Clone, Debug, Default)]
struct Targets(Arc<Mutex<TargetsState>>);

#[derive(Debug, Default)]
struct TargetsState {
    /// Targets that fail, with the code of the error.
    failing: HashMap<SocketAddr, i32>,
    asked: Vec<(SocketAddr, Instant)>,
}

impl Targets {
    fn fail(&self, check: &CheckSpec, code: i32) {
        self.0.lock().expect("no test panics with the lock").failing.insert(check.target, code);
    }

    fn recover(&self, check: &CheckSpec) {
        self.0.lock().expect("no test panics with the lock").failing.remove(&check.target);
    }

    fn asked(&self, check: &CheckSpec) -> Vec<Instant> {
        let state = self.0.lock().expect("no test panics with the lock");
        state.asked.iter().filter(|(target, _)| *target == check.target).map(|(_, at)| *at).collect()
    }
}

impl Probe for Targets {
    async fn probe(&self, check: &CheckSpec) -> Result<(), ProbeError> {
        let mut state = self.0.lock().expect("no test panics with the lock");
        state.asked.push((check.target, Instant::now()));
        match state.failing.get(&check.target) {
            None => Ok(()),
            Some(code) => {
                Err(ProbeError::Connect { target: check.target, source: io::Error::from_raw_os_error(*code) })
            }
        }
    }
}

const INTERVAL: Duration = Duration::from_secs(5);

fn check(port: u16) -> CheckSpec {
    CheckSpec {
        target: SocketAddr::from(([10, 0, 0, 1], port)),
        kind: CheckKind::Tcp,
        interval: INTERVAL,
        timeout: Duration::from_secs(1),
        rise: 2,
        fall: 3,
    }
}

fn set(checks: impl IntoIterator<Item = (CheckSpec, State)>) -> BTreeMap<CheckSpec, State> {
    checks.into_iter().collect()
}

/// Waits until the published map is as wanted; the clock jumps from timer to timer meanwhile.
async fn until(statuses: &mut watch::Receiver<Statuses>, what: &str, wanted: impl FnMut(&Statuses) -> bool) {
    timeout(Duration::from_mins(10), statuses.wait_for(wanted))
        .await
        .unwrap_or_else(|_| panic!("no published map says: {what}"))
        .expect("the checker runs");
}

async fn until_state(statuses: &mut watch::Receiver<Statuses>, check: &CheckSpec, state: State) {
    let what = format!("{} is {state}", check.target);
    until(statuses, &what, |map| map.get(check).is_some_and(|status| status.state == state)).await;
}

#[tokio::test(start_paused = true)]
async fn the_first_result_decides_within_moments() {
    let targets = Targets::default();
    let (good, bad) = (check(1), check(2));
    targets.fail(&bad, libc::ECONNREFUSED);
    let checker = Checker::spawn_with(targets);
    let mut statuses = checker.subscribe();
    let start = Instant::now();
    checker.update(set([(good.clone(), State::Unknown), (bad.clone(), State::Unknown)]));
    until_state(&mut statuses, &good, State::Up).await;
    until_state(&mut statuses, &bad, State::Down).await;
    assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
    let map = statuses.borrow().clone();
    assert_eq!(map[&good].last_error, None);
    assert_eq!(map[&bad].last_error.as_deref(), Some("connect to 10.0.0.1:2: connection refused"));
}

#[tokio::test(start_paused = true)]
async fn a_target_goes_down_after_fall_failures_and_comes_up_after_rise_passes() {
    let targets = Targets::default();
    let check = check(1);
    let checker = Checker::spawn_with(targets.clone());
    let mut statuses = checker.subscribe();
    checker.update(set([(check.clone(), State::Unknown)]));
    until_state(&mut statuses, &check, State::Up).await;

    targets.fail(&check, libc::ECONNREFUSED);
    let before = targets.asked(&check).len();
    until_state(&mut statuses, &check, State::Down).await;
    assert_eq!(targets.asked(&check).len() - before, 3);
    assert!(statuses.borrow()[&check].since.elapsed() < INTERVAL);

    targets.recover(&check);
    until_state(&mut statuses, &check, State::Up).await;
    assert_eq!(targets.asked(&check).len() - before, 5);
    assert_eq!(statuses.borrow()[&check].last_error, None);
}

#[tokio::test(start_paused = true)]
async fn a_seeded_state_is_published_at_once_and_needs_all_results_to_turn() {
    let targets = Targets::default();
    let check = check(1);
    targets.fail(&check, libc::ECONNREFUSED);
    let checker = Checker::spawn_with(targets.clone());
    let mut statuses = checker.subscribe();
    checker.update(set([(check.clone(), State::Up)]));
    until(&mut statuses, "the seed", |map| map.contains_key(&check)).await;
    assert_eq!((statuses.borrow()[&check].state, targets.asked(&check).len()), (State::Up, 0));
    until_state(&mut statuses, &check, State::Down).await;
    assert_eq!(targets.asked(&check).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_lack_on_this_node_is_published_as_an_error_and_turns_nothing() {
    let targets = Targets::default();
    let check = check(1);
    let checker = Checker::spawn_with(targets.clone());
    let mut statuses = checker.subscribe();
    checker.update(set([(check.clone(), State::Unknown)]));
    until_state(&mut statuses, &check, State::Up).await;
    targets.fail(&check, libc::EMFILE);
    until(&mut statuses, "the error", |map| map[&check].last_error.is_some()).await;
    // The clock is paused: this takes no time, and all that happens meanwhile happens.
    sleep(INTERVAL * 20).await;
    assert_eq!(statuses.borrow()[&check].state, State::Up);
    assert!(checker.counters().tcp.inconclusive.load(Ordering::Relaxed) > 0);
    assert_eq!(checker.counters().tcp.failed.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_stays_in_the_set_keeps_its_state_and_one_that_leaves_ends() {
    let targets = Targets::default();
    let (stays, leaves, comes) = (check(1), check(2), check(3));
    let checker = Checker::spawn_with(targets.clone());
    let mut statuses = checker.subscribe();
    checker.update(set([(stays.clone(), State::Unknown), (leaves.clone(), State::Unknown)]));
    until_state(&mut statuses, &stays, State::Up).await;
    until_state(&mut statuses, &leaves, State::Up).await;
    let since = statuses.borrow()[&stays].since;

    checker.update(set([(stays.clone(), State::Down), (comes.clone(), State::Unknown)]));
    until_state(&mut statuses, &comes, State::Up).await;
    let map = statuses.borrow().clone();
    assert_eq!(
        map.keys().map(|check| (**check).clone()).collect::<BTreeSet<_>>(),
        BTreeSet::from([stays.clone(), comes])
    );
    assert_eq!((map[&stays].state, map[&stays].since), (State::Up, since));

    let asked = targets.asked(&leaves).len();
    sleep(INTERVAL * 5).await;
    assert!(targets.asked(&stays).len() >= 5, "a check that stayed in the set is no longer made");
    assert_eq!(targets.asked(&leaves).len(), asked, "a check that left the set is still made");
}

#[tokio::test(start_paused = true)]
async fn a_check_that_comes_back_begins_anew() {
    let targets = Targets::default();
    let check = check(1);
    let checker = Checker::spawn_with(targets.clone());
    let mut statuses = checker.subscribe();
    checker.update(set([(check.clone(), State::Unknown)]));
    until_state(&mut statuses, &check, State::Up).await;
    checker.update(set([]));
    until(&mut statuses, "no check", |map| map.is_empty()).await;
    targets.fail(&check, libc::ECONNREFUSED);
    checker.update(set([(check.clone(), State::Unknown)]));
    until_state(&mut statuses, &check, State::Down).await;
}

#[tokio::test(start_paused = true)]
async fn the_map_is_published_only_when_something_changes() {
    let targets = Targets::default();
    let checks: Vec<_> = (1..=100).map(check).collect();
    targets.fail(&checks[0], libc::ECONNREFUSED);
    let checker = Checker::spawn_with(targets.clone());
    let mut statuses = checker.subscribe();
    checker.update(set(checks.iter().map(|check| (check.clone(), State::Unknown))));
    until(&mut statuses, "all known", |map| {
        map.len() == checks.len() && map.values().all(|status| status.state != State::Unknown)
    })
    .await;
    // Unchanged: passes that pass again and a failure that fails in the same way.
    sleep(INTERVAL * 10).await;
    assert!(!statuses.has_changed().expect("the checker runs"));
}

#[tokio::test(start_paused = true)]
async fn many_changes_at_once_become_few_maps() {
    let targets = Targets::default();
    let checks: Vec<_> = (1..=1000).map(check).collect();
    let checker = Checker::spawn_with(targets.clone());
    let mut statuses = checker.subscribe();
    checker.update(set(checks.iter().map(|check| (check.clone(), State::Unknown))));
    let mut maps = 0;
    until(&mut statuses, "all up", |map| {
        maps += 1;
        map.len() == checks.len() && map.values().all(|status| status.state == State::Up)
    })
    .await;
    let most = MAX_SPREAD.as_millis() / PUBLISH_INTERVAL.as_millis() + 3;
    assert!(maps <= most, "{maps} maps for 1000 changes within {MAX_SPREAD:?}");
}

#[tokio::test(start_paused = true)]
async fn checks_are_repeated_at_the_interval_give_or_take_a_tenth() {
    let targets = Targets::default();
    let check = check(1);
    let checker = Checker::spawn_with(targets.clone());
    checker.update(set([(check.clone(), State::Unknown)]));
    sleep(INTERVAL * 200).await;
    let asked = targets.asked(&check);
    let gaps: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // Timers have a resolution of a millisecond.
    let allowed = INTERVAL.mul_f64(0.9)..=INTERVAL.mul_f64(1.1) + Duration::from_millis(1);
    assert!(gaps.len() > 150 && gaps.iter().all(|gap| allowed.contains(gap)), "{gaps:?}");
    assert!(gaps.iter().collect::<BTreeSet<_>>().len() > 50, "the intervals do not vary");
}

#[tokio::test(start_paused = true)]
async fn first_checks_of_a_large_set_are_spread_over_a_second() {
    let targets = Targets::default();
    let checks: Vec<_> = (1..=5000).map(check).collect();
    let checker = Checker::spawn_with(targets.clone());
    let start = Instant::now();
    checker.update(set(checks.iter().map(|check| (check.clone(), State::Unknown))));
    sleep(MAX_SPREAD + Duration::from_millis(1)).await;
    let state = targets.0.lock().expect("no test panics with the lock");
    assert_eq!(state.asked.len(), checks.len(), "every check begins within the spread");
    let early = state.asked.iter().filter(|(_, at)| *at - start < MAX_SPREAD / 2).count();
    assert!((2200..2800).contains(&early), "{early} of 5000 in the first half");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_checker_ends_its_checks() {
    let targets = Targets::default();
    let check = check(1);
    let checker = Checker::spawn_with(targets.clone());
    let mut statuses = checker.subscribe();
    checker.update(set([(check.clone(), State::Unknown)]));
    until_state(&mut statuses, &check, State::Up).await;
    drop(checker);
    let asked = targets.asked(&check).len();
    sleep(INTERVAL * 10).await;
    assert!(statuses.changed().await.is_err(), "the checker still runs");
    assert_eq!(targets.asked(&check).len(), asked);
}
