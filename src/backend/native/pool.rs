//! Worker threads of an executable. They are pinned to processors, because unpinned ones were often put on the same core.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::thread::JoinHandle;

/// A task of a job: `(task, worker)`. Which worker takes a task is not determined.
type Task<'a> = dyn Fn(usize, usize) + Sync + 'a;

/// Threads that wait for jobs. The calling thread works too, as worker 0.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held while a job runs; a second caller works alone.
    busy: Mutex<()>,
}

struct Shared {
    job: Mutex<Job>,
    wake: Condvar,
    /// Counts jobs, so that a spinning worker sees a new one without the lock.
    generation: AtomicUsize,
    next: AtomicUsize,
    running: AtomicUsize,
    panicked: AtomicBool,
}

#[derive(Clone, Copy)]
struct Job {
    generation: usize,
    tasks: usize,
    f: Option<&'static Task<'static>>,
    quit: bool,
}

/// Times a worker looks for a job before it sleeps, and the caller for the end of one before it yields.
const SPINS: usize = 4000;

impl Pool {
    /// `threads` counts the caller; 0 means as many as the process may use.
    pub fn new(threads: usize) -> Pool {
        let available = std::thread::available_parallelism().map_or(1, |n| n.get());
        let threads = if threads == 0 { available } else { threads };
        let shared = Arc::new(Shared {
            job: Mutex::new(Job { generation: 0, tasks: 0, f: None, quit: false }),
            wake: Condvar::new(),
            generation: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
        });
        let pin = threads <= available;
        let workers = (1..threads)
            .filter_map(|k| {
                let shared = shared.clone();
                let work = move || {
                    if pin {
                        pin_to(k);
                    }
                    shared.work(k)
                };
                std::thread::Builder::new().name(format!("mslc-{k}")).spawn(work).ok()
            })
            .collect();
        Pool { shared, workers, busy: Mutex::new(()) }
    }

    /// The pool of so many threads that others use too; it ends with its last user.
    pub fn shared(threads: usize) -> Arc<Pool> {
        static POOLS: Mutex<Vec<(usize, Weak<Pool>)>> = Mutex::new(vec![]);
        let mut pools = POOLS.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(pool) = pools.iter().find(|(n, _)| *n == threads).and_then(|(_, p)| p.upgrade()) {
            return pool;
        }
        let pool = Arc::new(Pool::new(threads));
        pools.retain(|(n, _)| *n != threads);
        pools.push((threads, Arc::downgrade(&pool)));
        pool
    }

    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `f(task, worker)` for every task below `tasks`, each once, and returns when all are done.
    pub fn run(&self, tasks: usize, f: &Task) {
        let guard = if self.workers.is_empty() || tasks < 2 { None } else { self.busy.try_lock().ok() };
        if guard.is_none() {
            return (0..tasks).for_each(|t| f(t, 0));
        }
        let s = &*self.shared;
        // SAFETY: the reference is used only while `running` is above zero, and this function does not return before
        // every worker has left the job; the workers' last use of it happens before they lower `running`.
        let f = unsafe { std::mem::transmute::<&Task, &'static Task<'static>>(f) };
        s.next.store(0, Relaxed);
        s.running.store(self.workers.len(), Relaxed);
        {
            let mut job = s.job.lock().expect("compiler bug: a poisoned pool");
            *job = Job { generation: job.generation + 1, tasks, f: Some(f), quit: false };
            s.generation.store(job.generation, Release);
        }
        s.wake.notify_all();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| s.take_tasks(tasks, f, 0)));
        let mut spins = 0;
        while s.running.load(Acquire) > 0 {
            spins += 1;
            if spins < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
        if s.panicked.swap(false, Relaxed) {
            panic!("compiler bug: a worker thread failed");
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        {
            let mut job = self.shared.job.lock().unwrap_or_else(|e| e.into_inner());
            *job = Job { generation: job.generation + 1, tasks: 0, f: None, quit: true };
            self.shared.generation.store(job.generation, Release);
        }
        self.shared.wake.notify_all();
        self.workers.drain(..).for_each(|w| drop(w.join()));
    }
}

impl Shared {
    fn take_tasks(&self, tasks: usize, f: &Task, worker: usize) {
        loop {
            let t = self.next.fetch_add(1, Relaxed);
            if t >= tasks {
                return;
            }
            f(t, worker);
        }
    }

    fn work(&self, worker: usize) {
        let mut seen = 0;
        loop {
            for _ in 0..SPINS {
                if self.generation.load(Acquire) != seen {
                    break;
                }
                std::hint::spin_loop();
            }
            let job = {
                let mut job = self.job.lock().expect("compiler bug: a poisoned pool");
                while job.generation == seen {
                    job = self.wake.wait(job).expect("compiler bug: a poisoned pool");
                }
                *job
            };
            seen = job.generation;
            if job.quit {
                return;
            }
            if let Some(f) = job.f {
                let work = std::panic::AssertUnwindSafe(|| self.take_tasks(job.tasks, f, worker));
                if std::panic::catch_unwind(work).is_err() {
                    self.panicked.store(true, Relaxed);
                }
                self.running.fetch_sub(1, Release);
            }
        }
    }
}

/// Pins the calling thread to the `k`-th processor that the process may use. Failing is no harm.
fn pin_to(k: usize) {
    #[cfg(target_os = "linux")]
    // SAFETY: a set of processors is plain data, which the calls fill and read within its size.
    unsafe {
        let size = std::mem::size_of::<libc::cpu_set_t>();
        let mut allowed: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size, &mut allowed) != 0 {
            return;
        }
        let all = (0..libc::CPU_SETSIZE as usize).filter(|&c| libc::CPU_ISSET(c, &allowed));
        if let Some(cpu) = all.into_iter().nth(k) {
            let mut one: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(cpu, &mut one);
            libc::sched_setaffinity(0, size, &one);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = k;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once() {
        for threads in [1, 2, 5] {
            let pool = Pool::new(threads);
            for tasks in [0, 1, 7, 1000] {
                let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                pool.run(tasks, &|t, w| {
                    assert!(w < threads);
                    counts[t].fetch_add(1, Relaxed);
                });
                assert!(counts.iter().all(|c| c.load(Relaxed) == 1));
            }
        }
    }

    #[test]
    fn a_job_inside_a_job_runs_alone() {
        let pool = Pool::new(3);
        let sum = AtomicUsize::new(0);
        pool.run(10, &|_, _| {
            pool.run(10, &|t, _| {
                sum.fetch_add(t, Relaxed);
            })
        });
        assert_eq!(sum.load(Relaxed), 450);
    }
}
