//! The numbers that a system has for an event.

/// The number, or those of them that different calls have for the same event.
pub(crate) trait Errno: Copy {
    fn is(self, number: i32) -> bool;
}

impl Errno for i32 {
    fn is(self, number: i32) -> bool {
        self == number
    }
}

impl Errno for &[u32] {
    fn is(self, number: i32) -> bool {
        self.contains(&(number as u32))
    }
}
