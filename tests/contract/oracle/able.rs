//! What not every system can do: a step that needs it is not played there. So that the trace of a run on another system
//! can be compared with one from here, this system can be told to do without as well: `ANYPORT_ORACLE_AS=wine`.

use std::env;
use std::sync::OnceLock;

/// Whose abilities the scripts count on, if not this system's.
const AS: &str = "ANYPORT_ORACLE_AS";

/// What the scripts may count on.
#[derive(Clone, Copy)]
pub(super) struct Able {
    /// An object can leave a port.
    pub detach: bool,
    /// There are Unix sockets; TCP takes their place where there are none.
    pub unix: bool,
    /// The system tells when a pipe has room.
    pub room_in_pipes: bool,
    /// An accept on what does not listen is refused, and so is a receive on a listener.
    pub refusals: bool,
}

const ALL: Able = Able { detach: true, unix: true, room_in_pipes: true, refusals: true };
const WINDOWS: Able = Able { unix: false, room_in_pipes: false, ..ALL };
const WINE: Able = Able { detach: false, refusals: false, ..WINDOWS };

pub(super) fn able() -> Able {
    static ABLE: OnceLock<Able> = OnceLock::new();
    *ABLE.get_or_init(|| match env::var(AS).as_deref() {
        Ok("wine") => WINE,
        Ok("windows") => WINDOWS,
        Ok(other) => panic!("{AS}={other}: wine or windows"),
        Err(_) if crate::support::is_wine() => WINE,
        Err(_) if cfg!(windows) => WINDOWS,
        Err(_) => ALL,
    })
}
