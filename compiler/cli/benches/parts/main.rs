//! The parts of the pipeline, each by itself, on generated policies.
//!
//! In: `cargo bench --package egressc --bench parts [-- FILTER]`. Out: criterion's report, in processor time of the
//! measuring thread, so that other work on the machine counts little, and in rules a second.

#![expect(clippy::print_stderr, reason = "a bench that cannot measure says why")]

mod proofs;
#[path = "../support/mod.rs"]
mod support;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};
use egress_backends::{cilium, nftables};
use egress_compiler::{MemoryFiles, Options, check, inventory};
use nix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;
use support::{Outcome, Texts, Unit};

/// The sizes of the policies.
const SIZES: [usize; 2] = [1_000, 10_000];
/// The size at which z3 is also asked about every pair of rules; ten times as many take a hundred times as long.
const PAIRED: usize = 200;

/// Processor time of this thread, in nanoseconds.
struct ThreadTime;

impl Measurement for ThreadTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        now()
    }

    fn end(&self, start: Duration) -> Duration {
        now().saturating_sub(start)
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a bench stay below 2^52")]
    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

/// A clock that cannot be read shows as no time at all.
fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

type Group<'c> = BenchmarkGroup<'c, ThreadTime>;

fn main() -> ExitCode {
    let mut criterion = Criterion::default().with_measurement(ThreadTime).configure_from_args();
    let measured = SIZES.iter().try_for_each(|rules| parts(&mut criterion, *rules));
    let measured = measured.and_then(|()| pairs(&mut criterion));
    criterion.final_summary();
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parts(criterion: &mut Criterion<ThreadTime>, rules: usize) -> Outcome<()> {
    let texts = support::clean(rules);
    let mut group = criterion.benchmark_group("parts");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).measurement_time(Duration::from_secs(3));
    group.throughput(Throughput::Elements(u64::try_from(rules)?));
    measure(&mut group, rules, &texts)?;
    group.finish();
    Ok(())
}

fn measure(group: &mut Group<'_>, rules: usize, texts: &Texts) -> Outcome<()> {
    let unit = support::unit(texts)?;
    front(group, rules, texts);
    back(group, rules, &unit)
}

/// From text to program, and the checks on it.
fn front(group: &mut Group<'_>, rules: usize, texts: &Texts) {
    group.bench_function(BenchmarkId::new("parse", rules), |b| b.iter(|| egress_lang::parse(black_box(&texts.policy))));
    group.bench_function(BenchmarkId::new("format", rules), |b| {
        b.iter(|| egress_lang::format(black_box(&texts.policy)))
    });
    group.bench_function(BenchmarkId::new("read inventory", rules), |b| {
        b.iter(|| inventory::read(black_box(texts.inventory.as_bytes())))
    });
    group.bench_function(BenchmarkId::new("compile", rules), |b| {
        b.iter(|| egress_compiler::compile(support::input(texts), &MemoryFiles::default(), &Options::default()))
    });
}

/// The same policy proved in our way, and by one query for each pair of rules.
fn pairs(criterion: &mut Criterion<ThreadTime>) -> Outcome<()> {
    let Unit { program, .. } = support::unit(&support::clean(PAIRED))?;
    let mut group = criterion.benchmark_group("pairs");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).measurement_time(Duration::from_secs(3));
    let claims = check::check(&program, None, check::Limits::default())?.claims;
    group.bench_function(BenchmarkId::new("prove findings", PAIRED), |b| {
        b.iter(|| proofs::findings(black_box(&program), &claims))
    });
    group.bench_function(BenchmarkId::new("ask z3 about each pair", PAIRED), |b| {
        b.iter(|| proofs::each_pair(black_box(&program)))
    });
    group.finish();
    Ok(())
}

/// From program to findings, to artifacts, and back; and the proofs of all of them.
fn back(group: &mut Group<'_>, rules: usize, Unit { program, inventory }: &Unit) -> Outcome<()> {
    let (for_nftables, for_cilium) = (nftables::Options::default(), cilium::Options::default());
    let nft = nftables::emit(program, Some(inventory), &for_nftables).map_err(|errors| format!("{errors:?}"))?;
    let objects = cilium::emit(program, None, &for_cilium).map_err(|errors| format!("{errors:?}"))?;
    group.bench_function(BenchmarkId::new("check rules", rules), |b| {
        b.iter(|| check::check(black_box(program), None, check::Limits::default()))
    });
    group.bench_function(BenchmarkId::new("emit nftables", rules), |b| {
        b.iter(|| nftables::emit(black_box(program), Some(inventory), &for_nftables))
    });
    group.bench_function(BenchmarkId::new("decode nftables", rules), |b| {
        b.iter(|| nftables::decode(black_box(&nft.bytes)))
    });
    group.bench_function(BenchmarkId::new("emit cilium", rules), |b| {
        b.iter(|| cilium::emit(black_box(program), None, &for_cilium))
    });
    group.bench_function(BenchmarkId::new("decode cilium", rules), |b| {
        b.iter(|| cilium::decode(black_box(&objects.bytes)))
    });
    let claims = check::check(program, None, check::Limits::default())?.claims;
    group.bench_function(BenchmarkId::new("prove findings", rules), |b| {
        b.iter(|| proofs::findings(black_box(program), &claims))
    });
    group.bench_function(BenchmarkId::new("decode and prove nftables", rules), |b| {
        b.iter(|| proofs::nftables(program, inventory, black_box(&nft.bytes)))
    });
    group.bench_function(BenchmarkId::new("decode and prove cilium", rules), |b| {
        b.iter(|| proofs::cilium(program, inventory, black_box(&objects.bytes)))
    });
    Ok(())
}
