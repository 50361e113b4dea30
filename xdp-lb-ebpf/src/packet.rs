//! Access to the bytes of a packet. All pointer arithmetic of the packet path is in this file.

use core::marker::PhantomData;

/// A frame as the driver hands it over: Ethernet header first.
///
/// # Safety
///
/// `data()..data_end()` must be readable and writable memory for as long as the frame is borrowed, until
/// [`Frame::grow_head`], [`Frame::shrink_head`] or [`Frame::shrink_tail`] is called. No Rust reference into it may exist.
pub unsafe trait Frame {
    /// Address of the first byte.
    fn data(&self) -> usize;

    /// Address behind the last byte of the linear part. Of a frame in several buffers that is the first buffer only.
    fn data_end(&self) -> usize;

    /// Length of the whole frame in bytes: at least `data_end() - data()`.
    fn length(&self) -> u64;

    /// Makes room for `bytes` bytes in front; their content is undefined.
    fn grow_head(&mut self, bytes: usize) -> Result<(), NoRoom>;

    /// Takes `bytes` bytes away from the front.
    fn shrink_head(&mut self, bytes: usize) -> Result<(), NoRoom>;

    /// Takes `bytes` bytes away from the end.
    fn shrink_tail(&mut self, bytes: usize) -> Result<(), NoRoom>;

    /// Sum of the `N` bytes at `offset` (at most [`MAX_SUM`]) in words of four bytes as they stand in memory, an
    /// incomplete one filled up with zeros: a number that `checksum::finish` takes. `None` if the frame ends before.
    fn sum<const N: usize>(&self, offset: usize) -> Option<u64>;

    /// Index of the interface that the frame came in by.
    fn ingress_interface(&self) -> u32;
}

/// The most bytes that [`Frame::sum`] takes at once: they are copied to the stack.
pub const MAX_SUM: usize = 128;

/// The head or the end of a frame cannot be moved that far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

/// `N` bytes of a frame's linear part that were checked to be there.
///
/// Offsets are const parameters and compared with `N` by the compiler, so there is no access that could fail. The
/// borrow ends before the head of the frame moves: a stale packet pointer does not compile.
#[derive(Debug)]
pub struct Window<'frame, const N: usize> {
    start: usize,
    frame: PhantomData<&'frame ()>,
}

/// Integers that can stand in a packet. All bit patterns are valid.
pub trait Word: Copy {}
impl Word for u8 {}
impl Word for u16 {}
impl Word for u32 {}
impl Word for u64 {}

impl<'frame, const N: usize> Window<'frame, N> {
    /// The window at `offset` from the start of the frame, if the linear part reaches that far.
    #[inline(always)]
    pub fn at(frame: &'frame impl Frame, offset: usize) -> Option<Self> {
        // LLVM turns `start + 1 > end` into `start >= end`, from which the verifier concludes nothing.
        const { assert!(N > 1, "a window of one byte cannot be verified") };
        let start = frame.data() + offset;
        if start + N > frame.data_end() { None } else { Some(Self { start, frame: PhantomData }) }
    }

    /// The word at `AT`, as it stands in memory.
    #[inline(always)]
    pub fn get<T: Word, const AT: usize>(&self) -> T {
        const { assert!(AT + size_of::<T>() <= N, "inside the window") };
        // SAFETY: `at` found `N` bytes at `start`, the assertion above keeps the word inside them, and `Frame` promises
        // that they stay as long as the borrow that `frame` stands for.
        unsafe { ((self.start + AT) as *const T).read_unaligned() }
    }

    /// The 16-bit number at `AT`, from network to host order.
    #[inline(always)]
    pub fn number<const AT: usize>(&self) -> u16 {
        u16::from_be(self.get::<u16, AT>())
    }

    /// Stores a word at `AT` as it stands in memory.
    #[inline(always)]
    pub fn set<T: Word, const AT: usize>(&mut self, word: T) {
        const { assert!(AT + size_of::<T>() <= N, "inside the window") };
        // SAFETY: as in `get`; the memory is writable and nobody holds a reference into it.
        unsafe { ((self.start + AT) as *mut T).write_unaligned(word) }
    }
}
