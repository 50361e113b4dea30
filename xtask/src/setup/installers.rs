//! Installing what is missing: packages first, because they alone need root, then rustup components and crates.

use anyhow::Result;

use super::apt;
use super::detect::cargo_bin;
use super::requirements::{CargoProgram, Requirement, Source};
use crate::bpf_toolchain::{self, Route};
use crate::{process, workspace};

/// Installs what the requirements name.
pub(super) fn install(missing: &[&Requirement]) -> Result<()> {
    let plan = Plan::new(missing, bpf_toolchain::find().ok().map(|toolchain| toolchain.route));
    if !plan.packages.is_empty() {
        apt::install(&plan.packages, &plan.services)?;
    }
    for (toolchain, component) in plan.components {
        let mut rustup = process::command("rustup");
        rustup.args(["component", "add", component]);
        if let Some(toolchain) = toolchain {
            rustup.args(["--toolchain", toolchain]);
        }
        process::run(&mut rustup)?;
    }
    plan.crates.into_iter().try_for_each(cargo_install)
}

/// What each installer has to fetch.
#[derive(Debug, Default)]
struct Plan {
    packages: Vec<&'static str>,
    /// Services that these packages bring.
    services: Vec<&'static str>,
    /// Toolchain (`None`: the one in use) and component.
    components: Vec<(Option<&'static str>, &'static str)>,
    crates: Vec<CargoProgram>,
}

impl Plan {
    /// `bpf` is the route that the BPF compiler took; without a compiler, Debian's is about to be installed.
    fn new(missing: &[&Requirement], bpf: Option<Route>) -> Self {
        let mut plan = Self::default();
        for requirement in missing {
            match requirement.source {
                Source::Packages(packages) => plan.packages.extend(packages),
                Source::Server { package, services } => {
                    plan.packages.push(package);
                    plan.services.extend(services);
                }
                Source::CratesIo(program) => plan.crates.push(program),
                Source::Component(component) => plan.components.push((None, component)),
                Source::BpfClippy => match bpf {
                    Some(Route::Nightly) => plan.components.push((Some("nightly"), "clippy")),
                    Some(Route::Debian) | None => plan.packages.push("rust-web-clippy"),
                },
            }
        }
        plan
    }
}

/// Builds a program from crates.io. One of another version stays as it is: ours then goes into the target directory.
fn cargo_install(program: CargoProgram) -> Result<()> {
    let mut cargo = process::cargo();
    cargo.args(["install", "--locked", "--version", program.version, program.name]);
    // Whoever waits for a set-up gains more from a quick build of these tools than from a quick run.
    cargo.envs([
        ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
        ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
        ("CARGO_PROFILE_RELEASE_LTO", "off"),
        ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ]);
    if cargo_bin().join(program.name).exists() {
        cargo.arg("--root").arg(workspace::tools_root());
    }
    process::run(&mut cargo)
}

#[cfg(test)]
mod tests {
    use super::super::requirements::REQUIREMENTS;
    use super::*;

    fn all() -> Vec<&'static Requirement> {
        REQUIREMENTS.iter().collect()
    }

    #[test]
    fn clippy_for_bpf_comes_from_where_the_compiler_comes_from() {
        let nightly = Plan::new(&all(), Some(Route::Nightly));
        assert!(nightly.components.contains(&(Some("nightly"), "clippy")));
        assert!(!nightly.packages.contains(&"rust-web-clippy"));

        for route in [None, Some(Route::Debian)] {
            let debian = Plan::new(&all(), route);
            assert!(debian.packages.contains(&"rust-web-clippy"));
            assert!(debian.components.iter().all(|(toolchain, _)| toolchain.is_none()));
        }
    }

    #[test]
    fn nothing_missing_is_nothing_to_install() {
        let plan = Plan::new(&[], None);
        assert!(plan.packages.is_empty() && plan.components.is_empty() && plan.crates.is_empty());
    }
}
