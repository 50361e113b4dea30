//! Embeds the BPF objects that `cargo xtask build-ebpf` has built. Without them the crate still builds, so that it can
//! be checked and tested on a machine without the BPF toolchain; loading then fails with a sentence that says so.

use std::{env, fs, path::PathBuf};

fn main() {
    let objects = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo")).join("../target/bpf");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    for program in ["xdp_lb", "xdp_decap"] {
        let object = objects.join(program).with_extension("o");
        println!("cargo::rerun-if-changed={}", object.display());
        let bytes = fs::read(&object).unwrap_or_default();
        fs::write(out.join(program).with_extension("o"), bytes).expect("OUT_DIR can be written");
    }
}
