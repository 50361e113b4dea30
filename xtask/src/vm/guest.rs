//! What the virtual machine holds, and running it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::archive::Archive;
use super::kernel::Kernel;
use crate::process;

const BUSYBOX: &str = "/bin/busybox";

/// Its first and only process; `TESTS` becomes the arguments of the tests.
const INIT: &str = "#!/bin/busybox sh
export PATH=/bin
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
busybox mount -t tmpfs tmpfs /tmp
busybox mount -t devtmpfs devtmpfs /dev
busybox insmod /veth.ko
busybox ip link set lo up
echo \"vm: kernel $(busybox uname -r)\"
if packet --color never --nocapture TESTS; then echo 'vm: ok'; else echo 'vm: failed'; fi
busybox poweroff -f
";

/// Writes the archive that the machine boots from.
pub(super) fn write_image(image: &Path, kernel: &Kernel, tests: &Path, arguments: &[String]) -> Result<()> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let arguments: Vec<_> = arguments.iter().map(|argument| format!("'{}'", argument.replace('\'', r"'\''"))).collect();
    let mut archive = Archive::default();
    for directory in ["bin", "proc", "sys", "tmp", "dev", "run"] {
        archive.directory(directory);
    }
    archive.program("init", INIT.replace("TESTS", &arguments.join(" ")).as_bytes());
    archive.program("bin/busybox", &read(Path::new(BUSYBOX))?);
    archive.link("bin/ip", "busybox");
    archive.program("bin/packet", &read(tests)?);
    archive.program("veth.ko", &read(&kernel.veth)?);
    fs::write(image, archive.finish()).with_context(|| format!("cannot write {}", image.display()))
}

/// Boots, and hands over each line of the console. False if the machine had to be stopped.
pub(super) fn boot(kernel: &Kernel, image: &Path, limit: Duration, mut read: impl FnMut(&str)) -> Result<bool> {
    let deadline = Instant::now() + limit;
    let mut qemu = process::command("qemu-system-x86_64");
    qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048", "-nodefaults", "-no-reboot"])
        .args(["-display", "none", "-serial", "stdio", "-append", "console=ttyS0 quiet panic=-1", "-kernel"])
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(image);
    process::announce(&qemu);
    let child = qemu.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start qemu")?;
    let mut machine = Machine(child);
    let lines = machine.lines().context("qemu has no stdout")?;
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                eprintln!("{line}");
                read(&line);
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(true),
            Err(RecvTimeoutError::Timeout) => return Ok(false),
        }
    }
}

/// A running machine, stopped when dropped.
struct Machine(Child);

impl Machine {
    /// Lines of its console, until it ends.
    fn lines(&mut self) -> Option<Receiver<String>> {
        let console = BufReader::new(self.0.stdout.take()?);
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for line in console.split(b'\n') {
                let Ok(line) = line else { return };
                if sender.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                    return;
                }
            }
        });
        Some(receiver)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to stop.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
