//! The Internet checksum (RFC 1071), which does not depend on byte order: words are summed as they stand in memory.

/// The checksum of data whose words of 16 or 32 bits add up to `sum`.
#[inline(always)]
pub const fn finish(sum: u64) -> u16 {
    // Carries wrap around; the comments bound what is left after each round.
    let sum = (sum >> 32) + (sum & 0xffff_ffff); // < 2^33
    let sum = (sum >> 16) + (sum & 0xffff); // < 2^18
    let sum = (sum >> 16) + (sum & 0xffff); // <= 0x1_0002
    let sum = (sum >> 16) + (sum & 0xffff); // <= 0xffff
    !(sum as u16)
}

/// The checksum after one of the 16-bit words it covers has changed: equation 3 of RFC 1624.
#[inline(always)]
pub const fn replace(checksum: u16, old: u16, new: u16) -> u16 {
    finish(!checksum as u64 + !old as u64 + new as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1071 by the letter: big-endian words, end-around carry.
    fn naive(data: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in data.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair[1]]));
            if sum > 0xffff {
                sum -= 0xffff;
            }
        }
        !(sum as u16)
    }

    fn header(seed: u64) -> [u8; 20] {
        core::array::from_fn(|i| (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (i % 8 * 8)) as u8 ^ i as u8)
    }

    #[test]
    fn summing_32_bit_words_gives_the_checksum_of_rfc_1071() {
        for data in (0..1000).map(header).chain([[0xff; 20], [0; 20]]) {
            let sum = data.chunks(4).map(|w| u64::from(u32::from_ne_bytes([w[0], w[1], w[2], w[3]]))).sum();
            assert_eq!(finish(sum).to_ne_bytes(), naive(&data).to_be_bytes());
        }
    }

    #[test]
    fn any_sum_folds_without_losing_a_carry() {
        for sum in [u64::MAX, u64::MAX - 1, 0xffff_ffff_0000_0001, 0xffff_0000_ffff_0001, 0x1_ffff_fffe] {
            let expected = !(((sum - 1) % 0xffff + 1) as u16);
            assert_eq!(finish(sum), expected, "{sum:#x}");
        }
    }

    #[test]
    fn replacing_a_word_equals_summing_again() {
        for seed in 0..1000 {
            let mut data = header(seed);
            data[10..12].fill(0);
            let before = u16::from_ne_bytes(naive(&data).to_be_bytes());
            let old = u16::from_ne_bytes([data[8], data[9]]);
            for ttl in [0u8, 1, 64, 255] {
                data[8] = ttl;
                let new = u16::from_ne_bytes([data[8], data[9]]);
                assert_eq!(replace(before, old, new).to_ne_bytes(), naive(&data).to_be_bytes());
            }
        }
    }

    #[test]
    fn the_example_of_rfc_1624_comes_out_as_zero() {
        assert_eq!(replace(0xdd2f, 0x5555, 0x3285), 0x0000);
    }
}
