//! Worker threads of an executable. They are pinned to processors, because unpinned ones were often put on the same core, and wait
//! for work awake, because a job may be as short as some microseconds.

use super::processors;
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::thread::JoinHandle;

/// A task of a job: `(task, worker)`. Which worker takes a task is not determined.
type Task<'a> = dyn Fn(usize, usize) + Sync + 'a;

/// Threads that wait for jobs. The calling thread works too, as worker 0.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Counts jobs; held while one runs. A second caller works alone.
    busy: Mutex<usize>,
    pinned: bool,
}

/// A job is open from its publication until the caller finds no task left. Workers enter open jobs (`inside`), and the caller
/// waits for those that did: one that sleeps too long is not waited for.
struct Shared {
    /// The number of the open job, or 0.
    open: AtomicUsize,
    inside: AtomicUsize,
    /// Written between jobs only.
    job: UnsafeCell<Option<Job>>,
    /// For each worker the next of its own run of tasks.
    next: Vec<Counter>,
    sleepers: AtomicUsize,
    asleep: Mutex<()>,
    wake: Condvar,
    quit: AtomicBool,
    panicked: AtomicBool,
}

// SAFETY: `job` is written by the holder of `busy` while no job is open and nobody is inside, and read inside a job.
unsafe impl Sync for Shared {}

#[derive(Clone, Copy)]
struct Job {
    tasks: usize,
    f: &'static Task<'static>,
}

/// Alone in its cache line.
#[derive(Default)]
#[repr(align(128))]
struct Counter(AtomicUsize);

/// Times a worker looks for a job before it sleeps (some 100 µs), and the caller for the end of one before it yields.
const SPINS: usize = 4000;

impl Pool {
    /// `threads` counts the caller; 0 means as many as the process may use.
    pub fn new(threads: usize) -> Pool {
        let available = std::thread::available_parallelism().map_or(1, |n| n.get());
        let threads = if threads == 0 { available } else { threads };
        let shared = Arc::new(Shared {
            open: AtomicUsize::new(0),
            inside: AtomicUsize::new(0),
            job: UnsafeCell::new(None),
            next: (0..threads).map(|_| Counter::default()).collect(),
            sleepers: AtomicUsize::new(0),
            asleep: Mutex::new(()),
            wake: Condvar::new(),
            quit: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
        });
        let pinned = threads <= available;
        let workers = (1..threads)
            .filter_map(|k| {
                let shared = shared.clone();
                let work = move || {
                    if pinned {
                        processors::pin_to(k);
                    }
                    shared.work(k)
                };
                std::thread::Builder::new().name(format!("mslc-{k}")).spawn(work).ok()
            })
            .collect();
        Pool { shared, workers, busy: Mutex::new(0), pinned }
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

    /// Runs `f(task, worker)` for every task below `tasks`, each once, and returns when all are done. Each worker begins with its
    /// own run of neighbouring tasks, the same in every job of as many, so that it finds its data in its own cache.
    pub fn run(&self, tasks: usize, f: &Task) {
        let guard = if self.workers.is_empty() || tasks < 2 { None } else { self.busy.try_lock().ok() };
        let Some(mut count) = guard else {
            return (0..tasks).for_each(|t| f(t, 0));
        };
        if self.pinned {
            processors::leave_to_workers(self.workers.len());
        }
        let s = &*self.shared;
        // SAFETY: the reference is used only inside the job, and this function does not return before it is closed and
        // everybody has left it.
        let f = unsafe { std::mem::transmute::<&Task, &'static Task<'static>>(f) };
        let job = Job { tasks, f };
        // SAFETY: no job is open, nobody is inside, and `busy` is held.
        unsafe { *s.job.get() = Some(job) };
        s.next.iter().for_each(|n| n.0.store(0, Relaxed));
        *count += 1;
        s.open.store(*count, SeqCst);
        if s.sleepers.load(SeqCst) > 0 {
            drop(s.asleep.lock());
            s.wake.notify_all();
        }
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| s.take_tasks(job, 0)));
        s.open.store(0, SeqCst);
        let mut spins = 0;
        while s.inside.load(SeqCst) > 0 {
            spins += 1;
            if spins < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
        drop(count);
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
        self.shared.quit.store(true, SeqCst);
        drop(self.shared.asleep.lock());
        self.shared.wake.notify_all();
        self.workers.drain(..).for_each(|w| drop(w.join()));
    }
}

impl Shared {
    /// A worker's own tasks, then what others have left.
    fn take_tasks(&self, job: Job, worker: usize) {
        let n = self.next.len();
        for owner in (worker..n).chain(0..worker) {
            let (first, last) = (owner * job.tasks / n, (owner + 1) * job.tasks / n);
            loop {
                let t = first + self.next[owner].0.fetch_add(1, Relaxed);
                if t >= last {
                    break;
                }
                (job.f)(t, worker);
            }
        }
    }

    fn work(&self, worker: usize) {
        let mut seen = 0;
        while !self.quit.load(SeqCst) {
            if !self.is_new(seen) {
                self.wait(seen);
                continue;
            }
            self.inside.fetch_add(1, SeqCst);
            // It may have been closed, or even another one opened, before this worker was counted.
            let number = self.open.load(SeqCst);
            if number != 0 && number != seen {
                seen = number;
                // SAFETY: a job is open and stays so, or is waited for, since this worker is inside.
                let job = unsafe { (*self.job.get()).expect("compiler bug: an open job that is none") };
                let work = std::panic::AssertUnwindSafe(|| self.take_tasks(job, worker));
                if std::panic::catch_unwind(work).is_err() {
                    self.panicked.store(true, Relaxed);
                }
            }
            self.inside.fetch_sub(1, SeqCst);
        }
    }

    fn is_new(&self, seen: usize) -> bool {
        let number = self.open.load(SeqCst);
        number != 0 && number != seen
    }

    /// Until there is a job other than `seen`, or the end.
    fn wait(&self, seen: usize) {
        for _ in 0..SPINS {
            if self.is_new(seen) || self.quit.load(Relaxed) {
                return;
            }
            std::hint::spin_loop();
        }
        let mut guard = self.asleep.lock().expect("compiler bug: a poisoned pool");
        // Counted before the last look: who opens a job after that look sees the count.
        self.sleepers.fetch_add(1, SeqCst);
        while !self.is_new(seen) && !self.quit.load(SeqCst) {
            guard = self.wake.wait(guard).expect("compiler bug: a poisoned pool");
        }
        self.sleepers.fetch_sub(1, SeqCst);
    }
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

    #[test]
    fn many_short_jobs_with_pauses() {
        let pool = Pool::new(3);
        let sum = AtomicUsize::new(0);
        for k in 0..3000 {
            pool.run(3, &|t, _| {
                sum.fetch_add(t + 1, Relaxed);
            });
            if k % 500 == 0 {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        }
        assert_eq!(sum.load(Relaxed), 3000 * 6);
    }
}
