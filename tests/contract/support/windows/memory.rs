//! Memory that somebody mapped for himself.

use std::collections::BTreeSet;
use std::ffi::c_void;
use std::ptr::{null, null_mut, without_provenance};

use windows_sys::Wdk::System::Threading::{NtQueryInformationThread, ThreadBasicInformation};
use windows_sys::Win32::Foundation::{HANDLE, STATUS_SUCCESS};
use windows_sys::Win32::System::Memory::{
    GetProcessHeaps, HeapWalk, MEM_COMMIT, MEM_PRIVATE, MEM_RELEASE, MEM_RESERVE, MEMORY_BASIC_INFORMATION,
    PAGE_READWRITE, PROCESS_HEAP_ENTRY, VirtualAlloc, VirtualFree, VirtualQuery,
};
use windows_sys::Win32::System::Threading::GetCurrentThread;

/// The region of memory at an address.
fn region(address: usize) -> Option<MEMORY_BASIC_INFORMATION> {
    let mut region = MEMORY_BASIC_INFORMATION::default();
    let size = size_of_val(&region);
    // SAFETY: the address is looked at, not what is there; the answer is of this frame, and as long as is said.
    let told = unsafe { VirtualQuery(without_provenance(address), &mut region, size) };
    (told != 0).then_some(region)
}

/// The address of the allocation, or of the library, that an address is in.
pub(super) fn allocation(address: usize) -> usize {
    region(address).map_or(0, |region| region.AllocationBase as usize)
}

/// The allocations of the process' heaps.
fn heaps() -> BTreeSet<usize> {
    let mut heaps: [HANDLE; 64] = [null_mut(); 64];
    // SAFETY: room for so many.
    let many = unsafe { GetProcessHeaps(heaps.len() as u32, heaps.as_mut_ptr()) } as usize;
    assert!(many <= heaps.len(), "{many} heaps");
    // Walking a heap must not change it.
    let mut parts = Vec::with_capacity(1 << 20);
    for &heap in &heaps[..many] {
        let mut entry = PROCESS_HEAP_ENTRY::default();
        // SAFETY: a heap of this process; the entry is of this frame, and says where the walk is.
        while unsafe { HeapWalk(heap, &mut entry) } != 0 {
            assert!(parts.len() < parts.capacity(), "more on the heap than was reckoned with");
            parts.push(entry.lpData as usize);
        }
    }
    heaps[..many].iter().map(|&heap| heap as usize).chain(parts).map(allocation).collect()
}

/// What the system keeps of threads: this one's stack, and the block that this one's is in of those that describe them.
/// (Wine gives the latter back late.)
fn of_threads() -> [usize; 2] {
    let mut basic = ThreadBasic::default();
    let size = size_of_val(&basic) as u32;
    // SAFETY: the answer is of this frame, and as long as is said.
    let status = unsafe {
        let (thread, answer) = (GetCurrentThread(), (&raw mut basic).cast());
        NtQueryInformationThread(thread, ThreadBasicInformation, answer, size, null_mut())
    };
    assert_eq!(status, STATUS_SUCCESS, "NtQueryInformationThread: {status:x}");
    [allocation(&raw const basic as usize), allocation(basic.block)]
}

/// `THREAD_BASIC_INFORMATION`.
#[repr(C)]
#[derive(Default)]
struct ThreadBasic {
    exit_status: i32,
    block: usize,
    client: [usize; 2],
    affinity: usize,
    priorities: [i32; 2],
}

/// Bytes of writable private memory that no heap has made: what somebody mapped for himself. The size, not what is
/// resident, so that memory which is merely not touched yet counts as well.
pub(crate) fn mapped_beside_the_heap() -> i64 {
    let mut others = heaps();
    others.extend(of_threads());
    let (mut address, mut bytes) = (0, 0);
    while let Some(region) = region(address) {
        let private = region.State == MEM_COMMIT && region.Type == MEM_PRIVATE && region.Protect == PAGE_READWRITE;
        if private && !others.contains(&(region.AllocationBase as usize)) {
            bytes += region.RegionSize as i64;
        }
        address = region.BaseAddress as usize + region.RegionSize;
    }
    bytes
}

/// Memory that was mapped, as somebody would for himself.
pub(crate) struct Mapped(*mut c_void);

impl Mapped {
    pub(crate) fn new(bytes: usize) -> Mapped {
        // SAFETY: new memory, at an address of the system's choice.
        let mapped = unsafe { VirtualAlloc(null(), bytes, MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE) };
        assert!(!mapped.is_null(), "{}", std::io::Error::last_os_error());
        Mapped(mapped)
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: this is exactly the memory from above, and nothing points into it.
        assert_ne!(unsafe { VirtualFree(self.0, 0, MEM_RELEASE) }, 0);
    }
}
