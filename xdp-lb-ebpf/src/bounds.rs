//! What the verifier knows of a number, and need not.
//!
//! It verifies what follows a branch once for every state in which it is reached, and two states are one only if what it
//! knows of the numbers in them agrees. Where many ways come together, forgetting it keeps their count from multiplying.

/// The value as it is, of which the verifier knows nothing any more; `unknown` is a number of which it knows nothing.
#[inline(always)]
pub fn forget(value: u64, unknown: u64) -> u64 {
    // SAFETY: a local variable. It is read twice so that LLVM does not know that the same number comes out.
    let read = || unsafe { (&raw const unknown).read_volatile() };
    value ^ read() ^ read()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_what_it_was() {
        for value in [0, 54, 0x3fff, u64::MAX] {
            assert_eq!(forget(value, 0x0123_4567_89ab_cdef), value);
        }
    }
}
