//! What loading a generation and switching to it take, and what the kernel keeps.
//!
//! In: tables. Out: lines of the table. The kernel's verifier runs in this thread, so loading is processor time; a switch is
//! what somebody waits for it.

use crate::table::{Figure, Goal, single};
use crate::{median, thread_nanos};
use egress_agent::kernel::{Endpoint, Kernel, New};
use std::time::Instant;

const RUNS: usize = 7;

/// Loads generations one after the other, and switches to each.
pub(crate) fn measure(kernel: &Kernel, tables: &[u8]) {
    let [mut loaded, mut committed, mut switched] = [Vec::new(), Vec::new(), Vec::new()];
    let mut charged = 0;
    for _ in 0..RUNS {
        let start = thread_nanos();
        let generation = kernel.prepare(&New { tables, endpoints: &[(0, Endpoint::Row(7))] }).unwrap();
        loaded.push((thread_nanos() - start) as f64 / 1e9);
        charged = generation.memory().unwrap();
        let start = Instant::now();
        let place = kernel.commit(generation).unwrap();
        committed.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        kernel.switch(place).unwrap();
        switched.push(start.elapsed().as_secs_f64());
    }
    let [loaded, committed, switched] = [loaded, committed, switched].map(median).map(Figure::Seconds);
    single("load: maps, verifier, all programs of one generation (CPU)", Goal::AtMost(loaded, Figure::Seconds(1.0)));
    single("give it its place, where no packet comes yet (latency)", Goal::None(committed));
    single("switch (latency)", Goal::AtMost(switched, Figure::Seconds(1e-3)));
    single("tables", Goal::None(Figure::Bytes(tables.len() as f64)));
    let charged = Figure::Bytes(f64::from(u32::try_from(charged).unwrap()));
    single("resident: what the kernel charges, programs included", Goal::AtMost(charged, Figure::Bytes(2e6)));
}
