//! Wine is not Windows: what it lacks is listed in docs/WINDOWS.md, with a program that shows it, and a test that needs it
//! says so here.

use anyport::{Handle, Object, Port};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::core::{s, w};

use super::super::skip::skip_elsewhere;

/// True when this runs under Wine.
pub(crate) fn is_wine() -> bool {
    // SAFETY: the library is loaded in every process; Wine's alone has this function, which is not called.
    unsafe { GetProcAddress(GetModuleHandleW(w!("ntdll.dll")), s!("wine_get_version")).is_some() }
}

/// Skips a test of Windows' own.
pub(crate) fn skip_on_wine(why: &str) {
    if is_wine() {
        skip_elsewhere(format!("Windows itself: Wine {why}"));
    }
}

/// Has an object leave the port.
#[track_caller]
pub(crate) fn detach(port: &mut Port, handle: Handle) -> Object {
    match port.detach(handle) {
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {
            skip_on_wine("lets no object leave its completion port");
            panic!("detach: {error}")
        }
        result => result.expect("detach"),
    }
}

/// Whether objects can leave a port here.
pub(crate) fn can_detach() -> bool {
    !is_wine()
}
