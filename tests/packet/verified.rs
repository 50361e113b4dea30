//! What the verifier makes of the programs: that it takes them, with every feature and with none, how many instructions
//! it had to follow, and that what it took runs on an interface.
//!
//! The numbers on record stand in `verified.txt`. They depend on the kernel; one without numbers there is not compared.

use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use xdp_lb::{
    Pins,
    attach::ModeChoice,
    interface::Mode,
    program::{Program, ProgramKind},
};
use xdp_lb_abi::Gates;
use xdp_lb_tests::bed::{BpfFs, Scratch};

use crate::world::{GUE_PORT, World};

/// Lines of kernel, program and instructions.
const RECORD: &str = include_str!("verified.txt");

/// How far a program may grow, in percent, before the record has to say so.
const TOLERANCE: u64 = 2;

/// Each program by the name that it has on record.
fn programs() -> [(&'static str, ProgramKind); 3] {
    let World { hash_seed, icmp_rate, .. } = World::empty();
    let balancer = |gates| ProgramKind::Balancer { hash_seed, gates, gue_port: GUE_PORT, icmp_rate };
    [
        ("balancer-all-features", balancer(Gates(u64::MAX))),
        ("balancer-no-features", balancer(Gates::default())),
        ("decapsulator", ProgramKind::Decapsulator { gue_port: GUE_PORT }),
    ]
}

/// Loads a program in a place of its own and hands it over.
fn loaded<T>(kind: ProgramKind, work: impl FnOnce(&mut Program) -> T) -> T {
    let scratch = Scratch::create().expect("a directory (packet tests need root)");
    let bpffs = BpfFs::mount(scratch.path().join("bpf")).expect("a BPF file system");
    let pins = Pins::new(bpffs.path());
    let lock = pins.prepare().expect("the pin directory");
    work(&mut Program::load(&pins, &lock, kind).expect("the program loads"))
}

/// Instructions that the verifier followed.
fn verified(program: &mut Program) -> u64 {
    let (_, program) = program.object().programs().next().expect("an object holds one program");
    let info = program.info().expect("the kernel describes the program");
    info.verified_instruction_count().expect("the kernel counts them, since 5.16").into()
}

/// The kernel's first two numbers, such as `6.1`.
fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc is mounted");
    release.split(['.', '-']).take(2).map(str::trim).collect::<Vec<_>>().join(".")
}

fn on_record(kernel: &str, program: &str) -> Option<u64> {
    RECORD.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut words = line.split_whitespace();
        let here = words.next() == Some(kernel) && words.next() == Some(program);
        here.then(|| words.next().and_then(|count| count.parse().ok()).expect("a line ends with a number"))
    })
}

#[test]
fn no_program_grows_without_the_record_saying_so() {
    let kernel = kernel();
    let mut grown = Vec::new();
    for (name, kind) in programs() {
        let count = loaded(kind, verified);
        println!("verified: {kernel} {name} {count}");
        if let Some(recorded) = on_record(&kernel, name)
            && count * 100 > recorded * (100 + TOLERANCE)
        {
            grown.push(format!("{kernel} {name} {count} (on record: {recorded})"));
        }
    }
    assert!(
        grown.is_empty(),
        "the verifier follows over {TOLERANCE} % more instructions than tests/packet/verified.txt says; if that is worth it, \
         write the new numbers there:\n{}",
        grown.join("\n")
    );
}

#[test]
fn every_program_runs_on_an_interface_by_a_pinned_link() {
    // Interfaces of a namespace go with its last thread.
    let attached = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
        let made = Command::new("ip").args(["link", "add", "near", "type", "veth"]).status();
        assert!(made.expect("`ip` runs").success(), "no pair of veth interfaces");
        for (name, kind) in programs() {
            loaded(kind, |program| {
                let attached = program.attach(&[("near".to_owned(), ModeChoice::Native)]).expect(name);
                assert_eq!(attached[0].mode, Mode::Native, "{name}");
                let replaced = program.attach(&[("near".to_owned(), ModeChoice::Native)]).expect(name);
                assert!(replaced[0].replaced, "{name}: the second time goes through the pinned link");
                program.attach(&[]).expect(name);
            });
        }
    });
    attached.join().expect("no assertion failed");
}
