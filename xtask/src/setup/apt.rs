//! Debian packages, installed without questions and without starting the services they bring.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// Debian asks this script whether a package may start its service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Present where systemd starts services.
const SYSTEMCTL: &str = "/usr/bin/systemctl";

/// First line of our script after the shebang, by which a leftover is recognised.
const POLICY_MARK: &str = "# Written by `cargo xtask setup`";

/// Installs packages with their services off, or fails with the commands that root must run.
pub(super) fn install(packages: &[&str], services: &[&str]) -> Result<()> {
    if process::ask(Command::new("apt-get").arg("--version")).is_none() {
        bail!(
            "there is no apt-get here; install what the Debian packages {} hold by other means, and for the XDP \
             programs `rustup toolchain install nightly --component rust-src`",
            packages.join(", ")
        );
    }
    if !process::is_root() {
        let commands = commands_for_root(packages, services, Path::new(POLICY).exists());
        bail!("installing packages needs root; run these commands as root, then this one again:\n\n{commands}");
    }
    let _held = HeldServices::new(Path::new(POLICY))?;
    // One unreachable repository need not matter: the packages may come from another, or the old lists may do.
    if let Err(error) = process::run(&mut update()) {
        eprintln!("warning: {error:#}; going on with the package lists that are here");
    }
    process::run(&mut install_command(packages))?;
    // A machine without systemd, such as a container, starts nothing by itself.
    if !services.is_empty() && Path::new(SYSTEMCTL).exists() {
        process::run(&mut disable(services))?;
    }
    Ok(())
}

fn update() -> Command {
    let mut apt = process::command("apt-get");
    apt.args(["-o", "DPkg::Lock::Timeout=300", "update"]);
    apt
}

fn install_command(packages: &[&str]) -> Command {
    let mut apt = process::command("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    // Another package manager may be at work, for instance unattended upgrades on a machine that has just started.
    apt.args(["-o", "DPkg::Lock::Timeout=300", "install", "--yes", "--no-install-recommends"]).args(packages);
    apt
}

/// Packages have their services started with the next boot; takes that back.
fn disable(services: &[&str]) -> Command {
    let mut systemctl = process::command(SYSTEMCTL);
    systemctl.arg("disable").args(services);
    systemctl
}

/// The same steps for a shell.
fn commands_for_root(packages: &[&str], services: &[&str], policy_exists: bool) -> String {
    let install = format!("DEBIAN_FRONTEND=noninteractive {}", process::shown(&install_command(packages)));
    let mut lines = vec![process::shown(&update()), install];
    if !services.is_empty() {
        lines.push(process::shown(&disable(services)));
    }
    if !policy_exists {
        lines.insert(0, format!(r"printf '#!/bin/sh\nexit 101\n' > {POLICY} && chmod 755 {POLICY}"));
        lines.push(format!("rm {POLICY}"));
    }
    lines.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// While it lives, packages do not start services: a web server on port 80 is not what a set-up should leave behind.
/// A policy that somebody else has put there stays as it is.
struct HeldServices {
    ours: Option<PathBuf>,
}

impl HeldServices {
    fn new(policy: &Path) -> Result<Self> {
        if fs::read_to_string(policy).is_ok_and(|text| text.contains(POLICY_MARK)) {
            fs::remove_file(policy).with_context(|| format!("cannot remove a leftover {}", policy.display()))?;
        }
        if policy.exists() {
            return Ok(Self { ours: None });
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(policy)
            .with_context(|| format!("cannot create {}", policy.display()))?;
        let held = Self { ours: Some(policy.to_owned()) };
        // If this process is killed the file stays, and must then hold nothing back.
        let script = format!(
            "#!/bin/sh\n{POLICY_MARK}: packages start no services while it runs.\n[ -d /proc/{} ] && exit 101\nexit 0\n",
            std::process::id()
        );
        file.write_all(script.as_bytes()).with_context(|| format!("cannot write {}", policy.display()))?;
        Ok(held)
    }
}

impl Drop for HeldServices {
    fn drop(&mut self) {
        if let Some(policy) = &self.ours
            && let Err(error) = fs::remove_file(policy)
        {
            eprintln!("warning: cannot remove {}: {error}; remove it by hand", policy.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path of this test's own, removed beforehand and afterwards.
    fn with_policy(name: &str, test: impl FnOnce(&Path)) {
        let path = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        test(&path);
        let _ = fs::remove_file(&path);
    }

    fn answer(policy: &Path) -> Option<i32> {
        Command::new("sh").arg(policy).status().expect("sh runs").code()
    }

    #[test]
    fn services_are_held_back_only_while_packages_are_installed() {
        with_policy("held", |policy| {
            let held = HeldServices::new(policy).expect("the directory is writable");
            assert_eq!(answer(policy), Some(101));
            drop(held);
            assert!(!policy.exists());
        });
    }

    #[test]
    fn a_leftover_of_a_killed_set_up_holds_nothing_back_and_is_taken_over() {
        with_policy("leftover", |policy| {
            let script = format!("#!/bin/sh\n{POLICY_MARK}\n[ -d /proc/0 ] && exit 101\nexit 0\n");
            fs::write(policy, script).expect("the directory is writable");
            assert_eq!(answer(policy), Some(0));
            drop(HeldServices::new(policy).expect("the leftover can be removed"));
            assert!(!policy.exists());
        });
    }

    #[test]
    fn somebody_elses_policy_stays() {
        with_policy("foreign", |policy| {
            fs::write(policy, "#!/bin/sh\nexit 104\n").expect("the directory is writable");
            drop(HeldServices::new(policy).expect("an existing policy is no error"));
            assert_eq!(answer(policy), Some(104));
        });
    }

    #[test]
    fn without_root_the_commands_can_be_pasted_into_a_shell() {
        let text = commands_for_root(&["nginx-light", "curl"], &["nginx"], true);
        assert_eq!(
            text,
            "    apt-get -o DPkg::Lock::Timeout=300 update\n    \
             DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends \
             nginx-light curl\n    systemctl disable nginx"
        );
        let text = commands_for_root(&["curl"], &[], false);
        assert!(text.contains(POLICY) && text.ends_with("rm /usr/sbin/policy-rc.d"), "{text}");
    }
}
