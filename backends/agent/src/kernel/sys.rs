//! The system calls that no library of ours has: mapping and freezing a map, updating and describing a link, and asking
//! what a path is. The only unsafe code of the workspace.
//!
//! In: file descriptors and slices. Out: results. Never: pointers that outlive a call.
#![expect(unsafe_code, reason = "bpf(2), mmap(2) and statfs(2) take pointers; each use says why it is sound")]

use super::KernelError;
use std::ffi::CString;
use std::io;
use std::mem::size_of_val;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

const BPF_MAP_CREATE: libc::c_long = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_long = 2;
const BPF_OBJ_GET: libc::c_long = 7;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const BPF_MAP_FREEZE: libc::c_long = 22;
const BPF_LINK_UPDATE: libc::c_long = 29;
const BPF_LINK_DETACH: libc::c_long = 34;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_F_RDONLY_PROG: u32 = 1 << 7;
const BPF_F_MMAPABLE: u32 = 1 << 10;
const MEMBARRIER_CMD_GLOBAL: libc::c_long = 1;
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;
const CGROUP_V1_MAGIC: i64 = 0x0027_e0eb;
const CGROUP_V2_MAGIC: i64 = 0x6367_7270;
const OLDEST: (u32, u32) = (5, 10);

/// The kernel's description of a link (the first words of `bpf_link_info`).
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(8))]
pub(super) struct LinkInfo {
    pub(super) kind: u32,
    pub(super) id: u32,
    pub(super) program: u32,
    pad: u32,
    /// A cgroup's id (u64, little half first in memory order of the machine), or an interface's index and attach type.
    pub(super) first: u32,
    pub(super) second: u32,
    pub(super) third: u32,
    rest: [u32; 9],
}

/// Makes an array of one element with these bytes, which programs may only read, and freezes it, so that nobody writes it
/// again.
pub(super) fn frozen_array(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let size = u32::try_from(bytes.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    let mut words = [0; 11];
    // {type, key size, value size, elements, flags, inner map, NUMA node, name}
    let head = [BPF_MAP_TYPE_ARRAY, 4, size, 1, BPF_F_RDONLY_PROG | BPF_F_MMAPABLE];
    words.iter_mut().zip(head).for_each(|(word, value)| *word = value);
    for (word, part) in words.iter_mut().skip(7).zip(name.as_bytes().chunks(4).take(3)) {
        let mut letters = [0; 4];
        letters.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
        *word = u32::from_ne_bytes(letters);
    }
    let descriptor = bpf(BPF_MAP_CREATE, &mut words)?;
    // SAFETY: the call made this descriptor, and nobody else has it.
    let map = unsafe { OwnedFd::from_raw_fd(descriptor) };
    let key = 0u32;
    // {u32 fd, u32 padding, u64 key, u64 value, u64 flags}
    let mut attributes = [pair(descriptor as u32, 0), (&raw const key) as u64, bytes.as_ptr() as u64, 0];
    bpf(BPF_MAP_UPDATE_ELEM, &mut attributes)?;
    freeze(map.as_fd())?;
    Ok(map)
}

/// Two numbers that stand side by side in the kernel's structure.
fn pair(first: u32, second: u32) -> u64 {
    let ([a, b, c, d], [e, f, g, h]) = (first.to_ne_bytes(), second.to_ne_bytes());
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}

/// Freezes a map, so that nobody writes it again.
fn freeze(map: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = [map.as_raw_fd() as u32];
    bpf(BPF_MAP_FREEZE, &mut attributes).map(|_| ())
}

/// A copy of an array map's memory.
pub(super) fn copy_of(map: BorrowedFd<'_>, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    // SAFETY: a new read-only mapping at an address of the kernel's choice touches no memory that Rust knows of.
    let at = unsafe { libc::mmap(ptr::null_mut(), length, libc::PROT_READ, libc::MAP_SHARED, map.as_raw_fd(), 0) };
    if at == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping is `length` long, as is `bytes`; the map is frozen, so nobody writes while it is read, and the
    // mapping is not used after it is unmapped.
    let unmapped = unsafe {
        ptr::copy_nonoverlapping(at.cast::<u8>(), bytes.as_mut_ptr(), length);
        libc::munmap(at, length)
    };
    if unmapped != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(bytes)
}

/// What is pinned at a path.
pub(super) fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let mut attributes = [name.as_ptr() as u64, 0];
    let descriptor = bpf(BPF_OBJ_GET, &mut attributes)?;
    // SAFETY: the call made this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Replaces a link's program, at once.
pub(super) fn update_link(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = [link.as_raw_fd() as u32, program.as_raw_fd() as u32, 0, 0];
    bpf(BPF_LINK_UPDATE, &mut attributes).map(|_| ())
}

/// Ends a link now; without it, the kernel does so some time after its last pin and descriptor are gone.
pub(super) fn detach_link(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = [link.as_raw_fd() as u32];
    bpf(BPF_LINK_DETACH, &mut attributes).map(|_| ())
}

/// What a link is.
pub(super) fn link_info(link: BorrowedFd<'_>) -> io::Result<LinkInfo> {
    let mut info = LinkInfo::default();
    let address = (&raw mut info) as u64;
    // {u32 fd, u32 length, u64 address}
    let mut attributes = [pair(link.as_raw_fd() as u32, size_of_val(&info) as u32), address];
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attributes)?;
    Ok(info)
}

/// bpf(2) with attributes of plain numbers. What they point to must live in the caller.
fn bpf<T: Copy>(command: libc::c_long, attributes: &mut [T]) -> io::Result<RawFd> {
    let size = size_of_val(attributes);
    // SAFETY: the kernel reads and writes at most `size` bytes of `attributes`, which are plain numbers for which every
    // bit pattern is a value; the commands above that have a pointer among them point to memory of the size that they
    // or the map say, or to a string that ends with a zero byte, and all of it outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_mut_ptr(), size) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as RawFd) }
}

/// Waits until every program that was running has ended.
///
/// The barrier waits for all processors to pass a quiescent state of RCU, under which programs run. Where it is not
/// there (a kernel built or booted without it), a tenth of a second is ten thousand times what a program takes.
pub(super) fn wait_for_programs() {
    // SAFETY: it takes no pointer.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if result < 0 {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

/// Whether the caller's network namespace has an interface.
pub(super) fn interface_exists(name: &str) -> bool {
    // SAFETY: the name ends with a zero byte.
    CString::new(name).is_ok_and(|name| unsafe { libc::if_nametoindex(name.as_ptr()) } != 0)
}

/// What kind of link an interface is (`ARPHRD_…`).
pub(super) fn interface_kind(name: &str) -> io::Result<u16> {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").or_else(|_| std::net::UdpSocket::bind("0.0.0.0:0"))?;
    // SAFETY: all of it is numbers, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays zero.
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name.iter_mut().take(room).zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    // SAFETY: the request is the structure that this call reads and writes.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFHWADDR as _, &raw mut request) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above filled this member.
    Ok(unsafe { request.ifr_ifru.ifru_hwaddr }.sa_family)
}

/// Refuses kernels that lack what every load needs.
pub(super) fn check_kernel() -> Result<(), KernelError> {
    let found = std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_err(KernelError::file("read", Path::new("/proc/sys/kernel/osrelease")))?;
    let mut numbers = found.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) < OLDEST => {
            Err(KernelError::OldKernel { found: found.trim().to_owned() })
        }
        _ => Ok(()),
    }
}

/// Refuses what is no BPF file system.
pub(super) fn check_bpffs(path: &Path) -> Result<(), KernelError> {
    match file_system(path) {
        Ok(BPF_FS_MAGIC) => Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
            Err(KernelError::NoPrivilege { what: format!("look at `{}`", path.display()) })
        }
        _ => Err(KernelError::NoBpffs { path: path.to_owned() }),
    }
}

/// Refuses what is no cgroup of version 2.
pub(super) fn check_cgroup(path: &Path) -> Result<(), KernelError> {
    match file_system(path) {
        Ok(CGROUP_V2_MAGIC) => Ok(()),
        Ok(CGROUP_V1_MAGIC) => Err(KernelError::CgroupV1 { path: path.to_owned() }),
        _ => Err(KernelError::NoCgroup { path: path.to_owned() }),
    }
}

fn file_system(path: &Path) -> io::Result<i64> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let mut found = std::mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the name ends with a zero byte, and the structure is as large as the call expects.
    if unsafe { libc::statfs(name.as_ptr(), found.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all of it was zeroed, which is a value for each of its numbers, and the call filled it.
    #[expect(clippy::unnecessary_cast, reason = "its type differs between architectures")]
    Ok(unsafe { found.assume_init() }.f_type as i64 & 0xffff_ffff)
}
