//! Making a difference as small as it can be.

use xdp_lb_tests::model::Config;

use crate::round::Pair;

/// The kernel refuses shorter frames.
const SHORTEST: usize = 14;

/// Frames of which the last is still a difference, with as many bytes as possible gone or zero, and as few frames before
/// it as possible.
pub(crate) fn frames(pair: &mut Pair, mut frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut differs = |frames: &[Vec<u8>]| pair.first_difference(frames).map(|(index, _)| index);
    if let Some(last) = differs(&frames) {
        frames.truncate(last + 1);
    }
    let alone = vec![frames[frames.len() - 1].clone()];
    if differs(&alone).is_some() {
        frames = alone;
    }
    for before in (0..frames.len() - 1).rev() {
        let mut fewer = frames.clone();
        fewer.remove(before);
        if differs(&fewer).is_some() {
            frames = fewer;
        }
    }
    for index in 0..frames.len() {
        shorten(&mut frames, index, |frames| differs(frames).is_some());
    }
    frames
}

fn shorten(frames: &mut [Vec<u8>], index: usize, mut differs: impl FnMut(&[Vec<u8>]) -> bool) {
    let mut cut = frames[index].len() / 2;
    while cut > 0 {
        let before = frames[index].clone();
        frames[index].truncate((before.len() - cut).max(SHORTEST));
        if frames[index].len() == before.len() || !differs(frames) {
            frames[index] = before;
            cut /= 2;
        }
    }
    for at in 0..frames[index].len() {
        let before = std::mem::take(&mut frames[index][at]);
        if before != 0 && !differs(frames) {
            frames[index][at] = before;
        }
    }
}

/// The config without services and ways that do not matter.
pub(crate) fn config(config: &Config, frames: &[Vec<u8>]) -> Config {
    let mut smallest = config.clone();
    for service in &config.services {
        let mut without = smallest.clone();
        without.services.retain(|other| other != service);
        without.local_addresses.retain(|address| without.services.iter().any(|service| service.address == *address));
        if Pair::new(&without).first_difference(frames).is_some() {
            smallest = without;
        }
    }
    let used = |config: &Config, address| {
        config.services.iter().flat_map(|service| &service.backends).any(|backend| backend.address == address)
    };
    let ways = smallest.ways.clone().into_iter().filter(|(address, _)| used(&smallest, *address)).collect();
    Config { ways, ..smallest }
}
