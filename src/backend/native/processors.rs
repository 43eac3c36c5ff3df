//! Where threads run. Failing is no harm.

/// Pins the calling thread to the `k`-th processor that the process may use.
#[cfg(target_os = "linux")]
pub fn pin_to(k: usize) {
    let Some(allowed) = allowed() else { return };
    if let Some(cpu) = members(&allowed).nth(k) {
        restrict(&[cpu]);
    }
}

/// Moves the calling thread away from a processor that one of the workers 1 … `workers` is pinned to. It stays free to move.
#[cfg(target_os = "linux")]
pub fn leave_to_workers(workers: usize) {
    // SAFETY: no arguments, no memory.
    let here = unsafe { libc::sched_getcpu() };
    if here < 1 {
        return;
    }
    let Some(allowed) = allowed() else { return };
    let all: Vec<usize> = members(&allowed).collect();
    let taken = 1..(workers + 1).min(all.len());
    if all[taken.clone()].contains(&(here as usize)) {
        let free: Vec<usize> = (0..all.len()).filter(|k| !taken.contains(k)).map(|k| all[k]).collect();
        restrict(&free);
        restrict(&all);
    }
}

#[cfg(target_os = "linux")]
fn allowed() -> Option<libc::cpu_set_t> {
    // SAFETY: a set of processors is plain data, which the call fills within its size.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        (libc::sched_getaffinity(0, std::mem::size_of_val(&set), &mut set) == 0).then_some(set)
    }
}

#[cfg(target_os = "linux")]
fn members(set: &libc::cpu_set_t) -> impl Iterator<Item = usize> {
    // SAFETY: the numbers are below the size of the set.
    (0..libc::CPU_SETSIZE as usize).filter(|&c| unsafe { libc::CPU_ISSET(c, set) })
}

#[cfg(target_os = "linux")]
fn restrict(to: &[usize]) {
    // SAFETY: as above.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        to.iter().for_each(|&c| libc::CPU_SET(c, &mut set));
        libc::sched_setaffinity(0, std::mem::size_of_val(&set), &set);
    }
}

#[cfg(not(target_os = "linux"))]
pub fn pin_to(_: usize) {}

#[cfg(not(target_os = "linux"))]
pub fn leave_to_workers(_: usize) {}

/// Bytes of the second-level cache of a core, or a cautious guess.
pub fn second_level_cache() -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{__cpuid, __cpuid_count};
        // [Intel SDM, vol. 2, CPUID leaf 4; AMD APM, vol. 3, leaf 8000001D]: the caches one after the other.
        let vendor = __cpuid(0);
        let (leaf, last) = match &vendor.ebx.to_le_bytes() {
            b"Auth" => (0x8000_001d, __cpuid(0x8000_0000).eax),
            _ => (4, vendor.eax),
        };
        if last >= leaf {
            for k in 0..8 {
                let c = __cpuid_count(leaf, k);
                if c.eax & 31 == 0 {
                    break;
                }
                if c.eax >> 5 & 7 == 2 {
                    let part = |x: u32, bits: u32| (x & ((1 << bits) - 1)) as usize + 1;
                    return part(c.ebx, 12) * part(c.ebx >> 12, 10) * part(c.ebx >> 22, 10) * (c.ecx as usize + 1);
                }
            }
        }
    }
    1 << 20
}
