//! What Wine (8.0) does otherwise than Windows, shown with plain system calls: the evidence for what the suite skips there
//! and for what the backend puts right. Each holds Windows to what is documented, and Wine to what it was seen to do: when
//! Wine has learnt it, the test fails, and the exception can go. docs/WINDOWS.md lists them.

use std::fs::OpenOptions;
use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::windows::ffi::OsStrExt;
use std::os::windows::io::{AsRawHandle, AsRawSocket, FromRawHandle, OwnedHandle};
use std::path::Path;
use std::ptr::{null, null_mut};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};
use windows_sys::Wdk::Storage::FileSystem::{
    FILE_COMPLETION_INFORMATION, FileReplaceCompletionInformation, NtSetInformationFile,
};
use windows_sys::Win32::Foundation::{
    ERROR_INVALID_NAME, ERROR_IO_PENDING, GENERIC_READ, GetLastError, HANDLE, INVALID_HANDLE_VALUE, STATUS_CANCELLED,
    STATUS_DEVICE_NOT_READY, STATUS_SUCCESS,
};
use windows_sys::Win32::Networking::WinSock::{
    AF_UNIX, AcceptEx, INVALID_SOCKET, SOCK_STREAM, SOCKET, TransmitFile, WSA_FLAG_OVERLAPPED, WSA_IO_PENDING, WSABUF,
    WSAECONNRESET, WSAEINVAL, WSAENOTCONN, WSAGetLastError, WSARecv, WSASend, WSASocketW, closesocket,
};
use windows_sys::Win32::Storage::FileSystem::{
    CreateFileW, CreateSymbolicLinkW, GetFileAttributesW, INVALID_FILE_ATTRIBUTES, OPEN_EXISTING,
    SYMBOLIC_LINK_FLAG_ALLOW_UNPRIVILEGED_CREATE, WriteFile,
};
use windows_sys::Win32::System::IO::{
    CancelIoEx, CreateIoCompletionPort, GetQueuedCompletionStatusEx, IO_STATUS_BLOCK, OVERLAPPED, OVERLAPPED_ENTRY,
};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::core::{s, w};

use crate::support::*;

pub(crate) fn tests() -> Vec<Case> {
    cases! {
        once: [
            an_object_leaves_its_completion_port,
            a_packet_can_wait_for_a_timer,
            a_receive_on_a_listener_is_refused,
            an_accept_on_what_does_not_listen_is_refused,
            a_reset_before_the_receive_is_told,
            a_refused_datagram_is_told,
            a_send_without_a_connection_is_refused_as_one,
            a_name_that_is_too_long_is_refused,
            a_send_goes_on_when_the_receiver_has_no_more_to_say,
            a_send_is_found_while_it_goes_on,
            an_accept_waits_for_a_connection_of_its_own,
            a_write_to_a_pipe_that_is_given_up_tells_what_was_read,
            a_file_that_may_not_be_read_is_not_sent,
            a_symbolic_link_is_there_when_it_was_made,
            there_are_unix_sockets,
        ],
    }
}

/// A completion port.
struct Queue(OwnedHandle);

impl Queue {
    fn new() -> Queue {
        // SAFETY: a call without pointers; the handle is nobody else's.
        unsafe { Queue(OwnedHandle::from_raw_handle(CreateIoCompletionPort(INVALID_HANDLE_VALUE, null_mut(), 0, 1))) }
    }

    fn join(&self, handle: HANDLE) {
        // SAFETY: open handles, no pointers.
        let joined = unsafe { CreateIoCompletionPort(handle, self.0.as_raw_handle(), 1, 0) };
        assert!(!joined.is_null(), "{}", std::io::Error::last_os_error());
    }

    /// The packet that comes within so much time.
    fn packet_within(&self, millis: u32) -> Option<Packet> {
        let (mut entry, mut count) = (OVERLAPPED_ENTRY::default(), 0);
        // SAFETY: room for one packet, of this frame.
        let taken =
            unsafe { GetQueuedCompletionStatusEx(self.0.as_raw_handle(), &mut entry, 1, &mut count, millis, 0) };
        let bytes = entry.dwNumberOfBytesTransferred;
        (taken != 0 && count == 1).then_some(Packet { of: entry.lpOverlapped, bytes })
    }

    /// The packet that must come.
    #[track_caller]
    fn packet(&self) -> Packet {
        self.packet_within(30_000).expect("a packet")
    }

    /// Whether no packet comes: it is looked for where it would be already, for a moment.
    fn is_silent(&self) -> bool {
        self.packet_within(100).is_none()
    }
}

/// Whose call is over, and the bytes that it moved.
struct Packet {
    of: *const OVERLAPPED,
    bytes: u32,
}

/// Gives a call up that the system would keep the frame's memory for.
fn give_up(queue: &Queue, handle: HANDLE, memory: &OVERLAPPED) -> Packet {
    // SAFETY: the call is pending; its packet is waited for, so that the memory is this side's again.
    unsafe { CancelIoEx(handle, memory) };
    let packet = queue.packet();
    assert_eq!(packet.of, &raw const *memory, "a call that was given up comes back");
    packet
}

fn of(socket: &impl AsRawSocket) -> SOCKET {
    socket.as_raw_socket() as SOCKET
}

fn an_object_leaves_its_completion_port() {
    let (near, _far) = tcp_pair();
    Queue::new().join(of(&near) as HANDLE);
    let none = FILE_COMPLETION_INFORMATION { Port: null_mut(), Key: null_mut() };
    let mut status = IO_STATUS_BLOCK::default();
    // SAFETY: both structures are of this frame, and as long as is said.
    let result = unsafe {
        let size = size_of::<FILE_COMPLETION_INFORMATION>() as u32;
        let class = FileReplaceCompletionInformation;
        NtSetInformationFile(of(&near) as HANDLE, &mut status, (&raw const none).cast(), size, class)
    };
    assert_eq!(result == STATUS_SUCCESS, !is_wine(), "{result:x}");
}

fn a_packet_can_wait_for_a_timer() {
    // SAFETY: the library is loaded in every process; the function is looked for, not called.
    let there =
        unsafe { GetProcAddress(GetModuleHandleW(w!("ntdll.dll")), s!("NtAssociateWaitCompletionPacket")) }.is_some();
    assert_eq!(there, !is_wine());
}

fn a_receive_on_a_listener_is_refused() {
    let (queue, (listener, _)) = (Queue::new(), listener());
    queue.join(of(&listener) as HANDLE);
    let (mut byte, mut bytes, mut flags, mut memory) = ([0], 0, 0, OVERLAPPED::default());
    let list = WSABUF { len: 1, buf: byte.as_mut_ptr() };
    // SAFETY: all of it is of this frame, which is not left before the call is over.
    let code = unsafe {
        assert_ne!(WSARecv(of(&listener), &list, 1, &mut bytes, &mut flags, &mut memory, None), 0);
        WSAGetLastError()
    };
    assert_eq!(code == WSA_IO_PENDING, is_wine(), "{code}");
    if code == WSA_IO_PENDING {
        assert!(queue.is_silent(), "nor is it refused later");
        give_up(&queue, of(&listener) as HANDLE, &memory);
    }
}

fn an_accept_on_what_does_not_listen_is_refused() {
    let (queue, (near, _far)) = (Queue::new(), tcp_pair());
    let spare = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    queue.join(of(&near) as HANDLE);
    let (mut room, mut bytes, mut memory) = ([0u8; 320], 0, OVERLAPPED::default());
    // SAFETY: as above.
    let code = unsafe {
        let room = room.as_mut_ptr().cast();
        assert_eq!(AcceptEx(of(&near), of(&spare), room, 0, 144, 144, &mut bytes, &mut memory), 0);
        WSAGetLastError()
    };
    assert_eq!(code == WSA_IO_PENDING, is_wine(), "{code}");
    if code == WSA_IO_PENDING {
        assert!(queue.is_silent(), "nor is it refused later");
        give_up(&queue, of(&near) as HANDLE, &memory);
    }
}

fn a_reset_before_the_receive_is_told() {
    let (queue, (near, far)) = (Queue::new(), tcp_pair());
    queue.join(of(&near) as HANDLE);
    SockRef::from(&far).set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
    drop(far);
    until_readable("the reset", &near);
    let (mut byte, mut bytes, mut flags, mut memory) = ([0], 0, 0, OVERLAPPED::default());
    let list = WSABUF { len: 1, buf: byte.as_mut_ptr() };
    // SAFETY: as above; what succeeds has a packet, which is taken.
    let (result, code) = unsafe {
        let result = WSARecv(of(&near), &list, 1, &mut bytes, &mut flags, &mut memory, None);
        (result, WSAGetLastError())
    };
    let is_end = result == 0 && bytes == 0;
    assert!(is_end || code == WSAECONNRESET, "{result}, {code}");
    assert_eq!(is_end, is_wine());
    if is_end {
        queue.packet();
    }
}

fn a_refused_datagram_is_told() {
    let (queue, (near, far)) = (Queue::new(), udp_pair());
    queue.join(of(&near) as HANDLE);
    drop(far);
    near.send(b"nobody is there").expect("send");
    thread::sleep(Duration::from_millis(20));
    let (mut byte, mut bytes, mut flags, mut memory) = ([0], 0, 0, OVERLAPPED::default());
    let list = WSABUF { len: 1, buf: byte.as_mut_ptr() };
    // SAFETY: as above.
    let code = unsafe {
        assert_ne!(WSARecv(of(&near), &list, 1, &mut bytes, &mut flags, &mut memory, None), 0);
        WSAGetLastError()
    };
    let told = code != WSA_IO_PENDING || !queue.is_silent();
    assert_eq!(told, !is_wine(), "{code}");
    if !told {
        give_up(&queue, of(&near) as HANDLE, &memory);
    }
}

fn a_send_without_a_connection_is_refused_as_one() {
    for (kind, of_wine) in [(Type::STREAM, WSAECONNRESET), (Type::DGRAM, WSAEINVAL)] {
        let socket = Socket::new(Domain::IPV4, kind, None).expect("a socket");
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("bind");
        let mut byte = [0];
        let list = WSABUF { len: 1, buf: byte.as_mut_ptr() };
        let mut bytes = 0;
        // SAFETY: all of it is of this frame; not overlapped, so the call is over when it returns.
        let code = unsafe {
            assert_ne!(WSASend(of(&socket), &list, 1, &mut bytes, 0, null_mut(), None), 0);
            WSAGetLastError()
        };
        assert_eq!(code, if is_wine() { of_wine } else { WSAENOTCONN });
    }
}

fn a_name_that_is_too_long_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = format!(r"\\?\{}\{}", folder.path().display(), "x".repeat(300));
    let path: Vec<u16> = path.encode_utf16().chain([0]).collect();
    // SAFETY: the path is of this frame, and ends with a zero.
    let (file, code) = unsafe {
        let file = CreateFileW(path.as_ptr(), GENERIC_READ, 0, null_mut(), OPEN_EXISTING, 0, null_mut());
        (file, GetLastError())
    };
    assert_eq!(file, INVALID_HANDLE_VALUE);
    assert_eq!(code == ERROR_INVALID_NAME, !is_wine(), "{code}");
}

/// The end of one direction says nothing of the other.
fn a_send_goes_on_when_the_receiver_has_no_more_to_say() {
    let (queue, (near, far)) = (Queue::new(), tcp_pair());
    queue.join(of(&near) as HANDLE);
    let (mut byte, mut bytes, mut flags, mut of_receive) = ([0], 0, 0, OVERLAPPED::default());
    let receive = WSABUF { len: 1, buf: byte.as_mut_ptr() };
    let (mut much, mut of_send) = (vec![0u8; 64 << 20], OVERLAPPED::default());
    let send = WSABUF { len: much.len() as u32, buf: much.as_mut_ptr() };
    // SAFETY: all of it is of this frame, which is not left before both calls are over.
    unsafe {
        assert_ne!(WSARecv(of(&near), &receive, 1, &mut bytes, &mut flags, &mut of_receive, None), 0);
        assert_eq!(WSAGetLastError(), WSA_IO_PENDING, "nothing is there");
        assert_ne!(WSASend(of(&near), &send, 1, &mut bytes, 0, &mut of_send, None), 0);
        assert_eq!(WSAGetLastError(), WSA_IO_PENDING, "the receiver takes nothing");
    }
    far.shutdown(Shutdown::Write).expect("shutdown");
    let mut ended = vec![queue.packet()];
    ended.extend(queue.packet_within(100));
    assert!(ended.iter().any(|packet| packet.of == &raw const of_receive && packet.bytes == 0), "the end is told");
    let short = ended.iter().find(|packet| packet.of == &raw const of_send);
    assert_eq!(short.is_some_and(|packet| packet.bytes < send.len), is_wine());
    if short.is_none() {
        give_up(&queue, of(&near) as HANDLE, &of_send);
    }
    drop(far);
}

/// The thread that began the send waits, and goes on with it there; another one reads, so that there is room, and gives
/// the send up at once. Wine finds nothing to give up in one round of three or so.
fn a_send_is_found_while_it_goes_on() {
    const ROUNDS: usize = 1000;
    let (queue, (near, mut far)) = (Queue::new(), tcp_pair());
    queue.join(of(&near) as HANDLE);
    let (mut much, mut part) = (vec![0u8; 64 << 20], vec![0; 1 << 20]);
    let send = WSABUF { len: much.len() as u32, buf: much.as_mut_ptr() };
    let mut is_found = || {
        let (mut bytes, mut memory) = (0, OVERLAPPED::default());
        // SAFETY: the list is of this frame, which is not left before the call is over; so is the rest.
        unsafe {
            assert_ne!(WSASend(of(&near), &send, 1, &mut bytes, 0, &mut memory, None), 0);
            assert_eq!(WSAGetLastError(), WSA_IO_PENDING, "there is no room for so much");
        }
        let (socket, address) = (of(&near), (&raw const memory).addr());
        let (far, part) = (&mut far, &mut part);
        let give_up_behind_a_part = move || {
            far.read_exact(part).expect("a part");
            // SAFETY: the call is pending, and the address only names it.
            unsafe { CancelIoEx(socket as HANDLE, address as *const OVERLAPPED) != 0 }
        };
        let found = thread::scope(|scope| scope.spawn(give_up_behind_a_part).join().expect("the other thread"));
        if found {
            assert_eq!(queue.packet().of, &raw const memory);
        } else {
            assert!(queue.is_silent(), "it was not over: it waits again");
            give_up(&queue, of(&near) as HANDLE, &memory);
        }
        found
    };
    let missed = (0..ROUNDS).find(|_| !is_found());
    assert_eq!(missed.is_some(), is_wine(), "{missed:?}");
}

/// A call for a connection.
struct Accepting {
    memory: OVERLAPPED,
    room: [u8; 320],
    socket: Socket,
}

impl Accepting {
    fn new() -> Accepting {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        Accepting { memory: OVERLAPPED::default(), room: [0; 320], socket }
    }

    /// Makes it. The place stays where it is until its packet was taken.
    fn begin(&mut self, listener: SOCKET) {
        *self = Accepting::new();
        let (room, mut bytes) = (self.room.as_mut_ptr().cast(), 0);
        // SAFETY: the memory stays, as the caller sees to; what succeeds at once has a packet all the same.
        let begun = unsafe {
            AcceptEx(listener, of(&self.socket), room, 0, 144, 144, &mut bytes, &mut self.memory) != 0
                || WSAGetLastError() == WSA_IO_PENDING
        };
        assert!(begun, "{}", std::io::Error::last_os_error());
    }
}

/// Two accepts wait, and another thread asks all the time whether there is a connection. With one connection in ten or so
/// Wine ends both: the first with it, the second because it is not there any more.
fn an_accept_waits_for_a_connection_of_its_own() {
    const CONNECTIONS: usize = 2000;
    let (queue, (watched, address)) = (Queue::new(), listener());
    let listener = of(&watched);
    queue.join(listener as HANDLE);
    let mut calls = [Accepting::new(), Accepting::new()];
    calls.iter_mut().for_each(|call| call.begin(listener));
    let missed = while_asked(&watched, || {
        (0..CONNECTIONS).find(|_| {
            let _near = TcpStream::connect(address).expect("connect over loopback");
            let packet = queue.packet();
            let call = calls.iter_mut().find(|call| &raw const call.memory == packet.of).expect("one of both");
            let status = call.memory.Internal as i32;
            call.begin(listener);
            assert!([STATUS_SUCCESS, STATUS_DEVICE_NOT_READY].contains(&status), "{status:x}");
            status == STATUS_DEVICE_NOT_READY
        })
    });
    // SAFETY: the addresses only name the calls, whose packets are waited for.
    calls.iter().for_each(|call| unsafe { _ = CancelIoEx(listener as HANDLE, &call.memory) });
    calls.iter().for_each(|_| _ = queue.packet());
    assert_eq!(missed.is_some(), is_wine(), "{missed:?}");
}

/// No documentation says what is told then. The port passes it on.
fn a_write_to_a_pipe_that_is_given_up_tells_what_was_read() {
    let (queue, (mut reader, writer)) = (Queue::new(), pipe());
    queue.join(writer.as_raw_handle());
    let (much, mut memory) = (vec![0u8; 256 << 10], OVERLAPPED::default());
    // SAFETY: all of it is of this frame, which is not left before the call is over.
    unsafe {
        let len = much.len() as u32;
        assert_eq!(WriteFile(writer.as_raw_handle(), much.as_ptr(), len, null_mut(), &mut memory), 0);
        assert_eq!(GetLastError(), ERROR_IO_PENDING, "there is no room for so much");
    }
    reader.read_exact(&mut [0; 4096]).expect("a part");
    let told = give_up(&queue, writer.as_raw_handle(), &memory).bytes;
    assert_eq!(memory.Internal as i32, STATUS_CANCELLED);
    assert_eq!(told == 0, is_wine(), "{told} of 4096");
}

fn a_file_that_may_not_be_read_is_not_sent() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("file");
    std::fs::write(&path, "not to be read").expect("write");
    let file = OpenOptions::new().write(true).open(path).expect("open");
    let (queue, (near, _far)) = (Queue::new(), tcp_pair());
    queue.join(of(&near) as HANDLE);
    let mut memory = OVERLAPPED::default();
    // SAFETY: the overlapped call's memory is of this frame, which is not left before its packet has come.
    let sent = unsafe {
        let sent = TransmitFile(of(&near), file.as_raw_handle(), 4, 0, &mut memory, null(), 0) != 0;
        let begun = sent || WSAGetLastError() == WSA_IO_PENDING;
        begun && queue.packet().of == &raw const memory && memory.Internal as i32 == STATUS_SUCCESS
    };
    assert_eq!(sent, is_wine());
}

/// Windows may refuse it to this user, but then says so.
fn a_symbolic_link_is_there_when_it_was_made() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("file"), "").expect("write");
    let link = folder.path().join("link");
    let name = |path: &Path| path.as_os_str().encode_wide().chain([0]).collect::<Vec<u16>>();
    let (link, target) = (name(&link), name(Path::new("file")));
    // SAFETY: both names are of this frame, and end with a zero.
    let (made, is_there) = unsafe {
        let made = CreateSymbolicLinkW(link.as_ptr(), target.as_ptr(), SYMBOLIC_LINK_FLAG_ALLOW_UNPRIVILEGED_CREATE);
        (made, GetFileAttributesW(link.as_ptr()) != INVALID_FILE_ATTRIBUTES)
    };
    assert_eq!(made && !is_there, is_wine(), "made: {made}, is there: {is_there}");
}

/// From Windows 10 (1803) on.
fn there_are_unix_sockets() {
    // SAFETY: a call without pointers.
    let socket = unsafe { WSASocketW(AF_UNIX.into(), SOCK_STREAM, 0, null(), 0, WSA_FLAG_OVERLAPPED) };
    assert_eq!(socket == INVALID_SOCKET, is_wine());
    if socket != INVALID_SOCKET {
        // SAFETY: it is open, and nobody else's.
        unsafe { closesocket(socket) };
    }
}
