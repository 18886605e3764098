//! The command that the benchmarks supervise: static, without a library, so that what is measured is the supervisor.
//!
//! `cargo xtask bench` compiles it with rustc, once for each behaviour. What it does and where its records go is compiled
//! in, because some supervisors pass neither arguments nor environment on. A record is one write(2) of 16 bytes to a
//! FIFO: nanoseconds of CLOCK_MONOTONIC, process, kind. xtask/src/bench/workload.rs compiles it and reads them.

#![no_std]
#![no_main]
// There is no C library here, so no loop may become a call of strlen(3) or memcpy(3).
#![no_builtins]

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
compile_error!("the benchmarks' command knows the system calls of x86_64 Linux only");

use core::arch::{asm, global_asm};
use core::ptr;

const BEHAVIOUR: &[u8] = env!("WORKLOAD_BEHAVIOUR").as_bytes();
/// Where records go: a FIFO that the benchmark reads.
const RECORDS: &[u8] = concat!(env!("WORKLOAD_RECORDS"), "\0").as_bytes();
/// A FIFO that a tree keeps open: its reader hears from the kernel when the last process is gone.
const ALIVE: &[u8] = concat!(env!("WORKLOAD_ALIVE"), "\0").as_bytes();

#[derive(Clone, Copy)]
#[repr(u32)]
enum Kind {
    Exec = 1,
    Start = 2,
    Beat = 3,
    Asked = 4,
}

/// Numbers of system calls, from the kernel's table for x86_64.
mod number {
    pub const WRITE: usize = 1;
    pub const OPEN: usize = 2;
    pub const CLOSE: usize = 3;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const PAUSE: usize = 34;
    pub const NANOSLEEP: usize = 35;
    pub const GETPID: usize = 39;
    pub const SOCKET: usize = 41;
    pub const SENDTO: usize = 44;
    pub const FORK: usize = 57;
    pub const EXECVE: usize = 59;
    pub const WAIT4: usize = 61;
    pub const SETSID: usize = 112;
    pub const RT_SIGTIMEDWAIT: usize = 128;
    pub const CLOCK_GETTIME: usize = 228;
    pub const EXIT_GROUP: usize = 231;
    pub const UTIMENSAT: usize = 280;
}

const CLOCK_MONOTONIC: usize = 1;
const O_WRONLY: usize = 0o1;
const O_CREAT: usize = 0o100;
const AT_FDCWD: usize = -100isize as usize;
const AF_UNIX: u16 = 1;
const SOCK_DGRAM: usize = 2;
const SIG_BLOCK: usize = 0;
const SIG_UNBLOCK: usize = 1;
/// The set of signals that holds SIGTERM alone; its number is 15.
static SIGTERM_SET: u64 = 1 << 14;

// The kernel leaves argc, argv and envp on the stack: System V ABI, process initialization.
global_asm!(".globl _start", "_start:", "mov rdi, rsp", "and rsp, -16", "call {main}", "ud2", main = sym main);

/// What execve(2) left on the stack.
struct Stack(*const usize);

impl Stack {
    fn argument_count(&self) -> usize {
        // SAFETY: the kernel put argc at the top of the stack.
        unsafe { *self.0 }
    }

    fn arguments(&self) -> *const *const u8 {
        // SAFETY: argv follows argc.
        unsafe { self.0.add(1).cast() }
    }

    fn environment(&self) -> *const *const u8 {
        // SAFETY: envp follows the null pointer that ends argv.
        unsafe { self.arguments().add(self.argument_count() + 1) }
    }

    /// The first argument as a number, 0 without one.
    fn count(&self) -> usize {
        if self.argument_count() < 2 {
            return 0;
        }
        // SAFETY: there are at least two, each a C string.
        let digits = unsafe { text(*self.arguments().add(1)) };
        digits.iter().fold(0, |count, digit| count * 10 + usize::from(digit.wrapping_sub(b'0')))
    }

    /// The value of a variable, given as `NAME=`; a zero byte follows it.
    fn variable(&self, name: &[u8]) -> Option<&[u8]> {
        let mut entry = self.environment();
        // SAFETY: the entries are C strings, and a null pointer ends them.
        unsafe {
            while !(*entry).is_null() {
                if let Some(value) = text(*entry).strip_prefix(name) {
                    return Some(value);
                }
                entry = entry.add(1);
            }
        }
        None
    }
}

/// # Safety
/// The text ends with a zero byte, and is never freed.
unsafe fn text<'a>(start: *const u8) -> &'a [u8] {
    let mut length = 0;
    // SAFETY: all bytes up to the zero are the text's.
    unsafe {
        while *start.add(length) != 0 {
            length += 1;
        }
        core::slice::from_raw_parts(start, length)
    }
}

extern "C" fn main(stack: *const usize) -> ! {
    let now = now();
    let stack = Stack(stack);
    match BEHAVIOUR {
        b"launch" => launch(&stack),
        b"idle" => idle(now),
        b"crash" => record(now, Kind::Start),
        b"beat" => beat(&stack, now),
        b"hang" => hang(&stack, now, touch),
        b"falter" => falter(&stack, now),
        b"hang-notify" => hang(&stack, now, notify),
        b"family" => family(&stack, now),
        b"tree" => tree(now),
        _ => exit(2),
    }
    exit(1)
}

/// Stamps the moment, and becomes the program in its arguments.
fn launch(stack: &Stack) {
    // SAFETY: argv without its first entry is an argv again.
    let arguments = unsafe { stack.arguments().add(1) };
    record(now(), Kind::Exec);
    // SAFETY: there is a program, and both lists end with a null pointer.
    unsafe { call(number::EXECVE, [*arguments as usize, arguments as usize, stack.environment() as usize, 0, 0, 0]) };
}

fn idle(now: u64) -> ! {
    record(now, Kind::Start);
    pause()
}

/// Beats a thousand times a second.
fn beat(stack: &Stack, now: u64) -> ! {
    record(now, Kind::Start);
    loop {
        touch(stack);
        sleep(1_000_000);
    }
}

/// Beats once, and hangs until it is asked to leave. It has as many idle children as its argument says.
fn hang(stack: &Stack, now: u64, beat: fn(&Stack)) {
    syscall(number::RT_SIGPROCMASK, [SIG_BLOCK, &raw const SIGTERM_SET as usize, 0, 8]);
    record(now, Kind::Start);
    (0..stack.count()).for_each(|_| spawn_child());
    // Beats at all phases of the kernel's coarse clock, whose ticks are up to 10 ms apart.
    sleep(now % 10_007 * 1_000);
    let at = self::now();
    beat(stack);
    record(at, Kind::Beat);
    syscall(number::RT_SIGTIMEDWAIT, [&raw const SIGTERM_SET as usize, 0, 0, 8]);
    record(self::now(), Kind::Asked);
}

/// Beats a few times at random, never long after the last time, and hangs until it is asked to leave.
fn falter(stack: &Stack, now: u64) {
    syscall(number::RT_SIGPROCMASK, [SIG_BLOCK, &raw const SIGTERM_SET as usize, 0, 8]);
    record(now, Kind::Start);
    let mut dice = now | 1;
    let mut draw = |bound: u64| {
        // Marsaglia's xorshift.
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % bound
    };
    let mut beats = 1 + draw(5);
    while !is_asked_within(if beats > 0 { draw(20_000_000) } else { 1_000_000_000 }) {
        if beats > 0 {
            beats -= 1;
            let at = self::now();
            touch(stack);
            record(at, Kind::Beat);
        }
    }
    record(self::now(), Kind::Asked);
}

/// Takes SIGTERM, should it come before so many nanoseconds are over.
fn is_asked_within(nanos: u64) -> bool {
    let time = [nanos / 1_000_000_000, nanos % 1_000_000_000];
    syscall(number::RT_SIGTIMEDWAIT, [&raw const SIGTERM_SET as usize, 0, time.as_ptr() as usize, 8]) > 0
}

/// Idles with as many idle children as its argument says.
fn family(stack: &Stack, now: u64) -> ! {
    (0..stack.count()).for_each(|_| spawn_child());
    idle(now)
}

/// Six processes, two of them daemons in sessions of their own.
fn tree(now: u64) -> ! {
    open(ALIVE.as_ptr(), O_WRONLY);
    (0..3).for_each(|_| spawn_child());
    (0..2).for_each(|_| spawn_daemon());
    idle(now)
}

/// A child that idles, with the signal mask that processes are born with.
fn spawn_child() {
    if syscall(number::FORK, [0; 4]) == 0 {
        syscall(number::RT_SIGPROCMASK, [SIG_UNBLOCK, &raw const SIGTERM_SET as usize, 0, 8]);
        idle(now());
    }
}

/// A process in a session of its own that has lost its parent.
fn spawn_daemon() {
    match syscall(number::FORK, [0; 4]) {
        0 => {
            syscall(number::SETSID, [0; 4]);
            spawn_child();
            exit(0);
        }
        child => syscall(number::WAIT4, [child as usize, 0, 0, 0]),
    };
}

fn touch(stack: &Stack) {
    let Some(path) = stack.variable(b"HEARTBEAT_FILE=") else { return };
    if syscall(number::UTIMENSAT, [AT_FDCWD, path.as_ptr() as usize, 0, 0]) < 0 {
        close(open(path.as_ptr(), O_WRONLY | O_CREAT));
    }
}

fn notify(stack: &Stack) {
    #[repr(C)]
    struct Address {
        family: u16,
        path: [u8; 108],
    }
    const BEAT: &[u8] = b"WATCHDOG=1";
    let Some(path) = stack.variable(b"NOTIFY_SOCKET=") else { return };
    let mut address = Address { family: AF_UNIX, path: [0; 108] };
    address.path.iter_mut().zip(path).for_each(|(to, from)| *to = *from);
    // An abstract socket's name begins with a zero byte, and ends where the length says: unix(7).
    if path.first() == Some(&b'@') {
        address.path[0] = 0;
    }
    let socket = syscall(number::SOCKET, [usize::from(AF_UNIX), SOCK_DGRAM, 0, 0]);
    let arguments =
        [socket as usize, BEAT.as_ptr() as usize, BEAT.len(), 0, &raw const address as usize, 2 + path.len()];
    // SAFETY: message and address outlive the call.
    unsafe { call(number::SENDTO, arguments) };
    close(socket);
}

/// One write, so that records of several processes do not mix.
fn record(at: u64, kind: Kind) {
    let record = [at, (syscall(number::GETPID, [0; 4]) as u64) | (kind as u64) << 32];
    let fifo = open(RECORDS.as_ptr(), O_WRONLY);
    syscall(number::WRITE, [fifo as usize, record.as_ptr() as usize, size_of_val(&record), 0]);
    close(fifo);
}

/// Nanoseconds of CLOCK_MONOTONIC.
fn now() -> u64 {
    let mut time = [0u64; 2];
    syscall(number::CLOCK_GETTIME, [CLOCK_MONOTONIC, time.as_mut_ptr() as usize, 0, 0]);
    // The kernel has written there, which the compiler cannot know.
    // SAFETY: it is a place of our own.
    let [seconds, nanos] = unsafe { ptr::read_volatile(&time) };
    seconds * 1_000_000_000 + nanos
}

fn sleep(nanos: u64) {
    let time = [nanos / 1_000_000_000, nanos % 1_000_000_000];
    syscall(number::NANOSLEEP, [time.as_ptr() as usize, 0, 0, 0]);
}

fn pause() -> ! {
    loop {
        syscall(number::PAUSE, [0; 4]);
    }
}

fn open(path: *const u8, flags: usize) -> isize {
    syscall(number::OPEN, [path as usize, flags, 0o644, 0])
}

fn close(descriptor: isize) {
    syscall(number::CLOSE, [descriptor as usize, 0, 0, 0]);
}

fn exit(code: usize) -> ! {
    loop {
        syscall(number::EXIT_GROUP, [code, 0, 0, 0]);
    }
}

fn syscall(number: usize, arguments: [usize; 4]) -> isize {
    let [a, b, c, d] = arguments;
    // SAFETY: the callers pass numbers, and places that outlive the call.
    unsafe { call(number, [a, b, c, d, 0, 0]) }
}

/// # Safety
/// The arguments are what syscalls(2) says of this number.
unsafe fn call(number: usize, arguments: [usize; 6]) -> isize {
    let result;
    // SAFETY: the kernel keeps all registers but rax, rcx and r11: syscall(2).
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            in("r8") arguments[4],
            in("r9") arguments[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    exit(2)
}
