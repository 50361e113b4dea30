//! Array maps mapped into this process: words that the running program sees the moment they are stored.

use std::{
    ffi::c_void,
    io,
    num::NonZeroUsize,
    os::fd::AsFd,
    ptr::NonNull,
    sync::atomic::{AtomicU16, AtomicU64, Ordering},
};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// The value area of a `BPF_F_MMAPABLE` array map, as 64-bit words.
///
/// Mapped pages count as resident memory of this process, so a mapping should live no longer than it is used.
#[derive(Debug)]
pub(crate) struct Mapped {
    base: NonNull<c_void>,
    bytes: NonZeroUsize,
    words: usize,
}

impl Mapped {
    /// Maps the first `words` words of the array for reading and writing.
    pub(crate) fn writable(map: impl AsFd, words: usize) -> io::Result<Self> {
        Self::new(map, words, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE)
    }

    /// Maps the first `words` words of the array for reading; [`Self::store`] would fault.
    pub(crate) fn readable(map: impl AsFd, words: usize) -> io::Result<ReadOnly> {
        Self::new(map, words, ProtFlags::PROT_READ).map(ReadOnly)
    }

    fn new(map: impl AsFd, words: usize, protection: ProtFlags) -> io::Result<Self> {
        let bytes = NonZeroUsize::new(words * size_of::<u64>()).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let base = unsafe { mmap(None, bytes, protection, MapFlags::MAP_SHARED, map, 0) }?;
        Ok(Self { base, bytes, words })
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < self.words, "word {index} of {}", self.words);
        // SAFETY: in bounds by the assertion; the mapping is page-aligned, lives as long as `self`, and is only ever
        // accessed atomically here.
        let position = unsafe { self.base.cast::<AtomicU64>().add(index) };
        // SAFETY: as above.
        unsafe { position.as_ref() }
    }

    fn half_word(&self, index: usize) -> &AtomicU16 {
        assert!(index < self.words * 4, "half word {index} of {}", self.words * 4);
        // SAFETY: as in `word`.
        let position = unsafe { self.base.cast::<AtomicU16>().add(index) };
        // SAFETY: as above.
        unsafe { position.as_ref() }
    }

    /// Reads one word.
    pub(crate) fn load(&self, index: usize) -> u64 {
        self.word(index).load(Ordering::Acquire)
    }

    /// Stores one word, after everything that was stored before it.
    pub(crate) fn store(&self, index: usize, value: u64) {
        self.word(index).store(value, Ordering::Release);
    }

    /// Reads the 16 bits at `index * 2` bytes.
    pub(crate) fn load_u16(&self, index: usize) -> u16 {
        self.half_word(index).load(Ordering::Relaxed)
    }

    /// Stores the 16 bits at `index * 2` bytes, after everything that was stored before them.
    pub(crate) fn store_u16(&self, index: usize, value: u16) {
        self.half_word(index).store(value, Ordering::Release);
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and no reference into it outlives `self`.
        let unmapped = unsafe { munmap(self.base, self.bytes.get()) };
        debug_assert!(unmapped.is_ok(), "munmap of our own mapping: {unmapped:?}");
    }
}

// SAFETY: the mapping is shared memory that is only accessed atomically; it belongs to no thread.
unsafe impl Send for Mapped {}

/// A mapping that cannot be written through.
#[derive(Debug)]
pub(crate) struct ReadOnly(Mapped);

impl ReadOnly {
    /// Reads one word.
    pub(crate) fn load(&self, index: usize) -> u64 {
        self.0.load(index)
    }

    /// Reads the 16 bits at `index * 2` bytes.
    pub(crate) fn load_u16(&self, index: usize) -> u16 {
        self.0.load_u16(index)
    }
}
