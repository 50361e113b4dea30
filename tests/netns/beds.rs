//! The beds themselves, without any load balancer.

use std::{env, fs, path::Path, process::Command};

use xdp_lb_tests::{
    bed::{Bed, VIP_V4},
    http::nginx,
};

#[test]
fn the_client_reaches_every_backend_directly_in_both_families() {
    let bed = Bed::new(3).expect("a bed");
    let _servers: Vec<_> = bed.backends.iter().map(|host| nginx::start(host).expect("nginx")).collect();
    for host in &bed.backends {
        for address in [host.v4().to_string(), format!("[{}]", host.v6())] {
            let url = format!("http://{address}/");
            let body = bed.client.run("curl", &["-sS", "--max-time", "2", &url]).expect("an answer");
            assert_eq!(body.trim(), host.name());
        }
    }
    let unanswered = bed.client.run("curl", &["-sS", "--max-time", "0.3", &format!("http://{VIP_V4}/")]);
    unanswered.expect_err("nothing balances, so the VIP answers nobody");
}

#[test]
fn a_bed_leaves_nothing_behind() {
    let bed = Bed::new(1).expect("a bed");
    let names: Vec<_> = bed.hosts().map(|host| host.namespace().name().to_owned()).collect();
    let directory = bed.client.path("").parent().expect("the bed's directory").to_owned();
    assert!(names.iter().all(|name| Path::new("/run/netns").join(name).exists()));
    drop(bed);
    assert!(!names.iter().any(|name| Path::new("/run/netns").join(name).exists()));
    assert!(!directory.exists(), "{} is still there", directory.display());
    let mounts = fs::read_to_string("/proc/self/mounts").expect("the mounts");
    assert!(!mounts.contains(directory.to_str().expect("text")), "something is still mounted:\n{mounts}");
}

#[test]
fn what_a_killed_run_left_is_swept_by_the_next_one() {
    let mut ended = Command::new("true").spawn().expect("a process");
    ended.wait().expect("its end");
    let name = format!("xlb-{}-0", ended.id());
    let namespace = Path::new("/run/netns").join(format!("{name}-client"));
    let directory = Path::new("/tmp").join(&name);
    let pins = directory.join("client/bpf");
    fs::create_dir_all(&pins).expect("a directory");
    for command in [
        ["ip", "netns", "add", &format!("{name}-client")].as_slice(),
        &["mount", "-t", "bpf", "bpf", pins.to_str().expect("text")],
    ] {
        assert!(Command::new(command[0]).args(&command[1..]).status().expect("to run").success(), "{command:?}");
    }
    let mine = Bed::new(0).expect("a bed");

    let tests = env::current_exe().expect("this program");
    let next_run = Command::new(tests).args(["--exact", "beds::a_bed_leaves_nothing_behind"]).output();
    assert!(next_run.expect("the next run").status.success());

    assert!(!namespace.exists(), "{} is still there", namespace.display());
    assert!(!directory.exists(), "{} is still there", directory.display());
    mine.client.run("true", &[]).expect("the bed of a living run is untouched");
}
