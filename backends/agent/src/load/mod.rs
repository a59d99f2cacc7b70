//! `egress-agent load`: from a file to enforcement, or to an unchanged kernel and a reason.
//!
//! In this order: digest and signature of the file, every index of its tables, attach points and identities; then the
//! generation is loaded where no packet reaches it, and every test vector is asked of it in the kernel; then state is
//! written, new points are attached, and one store switches all of them. The generation before stays for `rollback`.

mod enforce;
mod plan;
mod vectors;

use crate::arguments::{At, Folders};
use crate::disk;
use crate::failure::{Failure, Outcome};
use crate::points;
use crate::state::State;
use crate::terminal;
use egress_agent::kernel::{Endpoint, Kernel, New};
use egress_snapshot::show::hex;
use egress_snapshot::{Snapshot, file, sign};
pub(crate) use enforce::{Link, fails_early, state_of};
use plan::Plan;
use std::path::{Path, PathBuf};

/// The options of `load`.
#[derive(Debug, clap::Args)]
pub(crate) struct Load {
    /// The snapshot that `egressc compile --target ebpf` wrote
    #[arg(value_name = "SNAPSHOT")]
    snapshot: PathBuf,

    #[command(flatten)]
    at: At,

    /// Who is at which point: JSON of `cgroups` and `interfaces`, each from name to identity or "address"
    ///
    /// Without this file, points are judged by source address. With it, points that it does not name are unknown.
    #[arg(long, value_name = "FILE")]
    identities: Option<PathBuf>,

    /// Let what is denied fail at once where a process of a cgroup connects or sends, and record the process
    ///
    /// For the cgroups that are named, or for all when none is; it stays so until they are unloaded.
    #[arg(long)]
    connect: bool,

    /// Load it, ask the kernel all test vectors, and remove it again
    #[arg(long)]
    dry_run: bool,

    /// Refuse snapshots that none of the public keys in this PEM file signed
    #[arg(long, value_name = "FILE")]
    require_key: Option<PathBuf>,

    /// Load a snapshot too that the compiler could not prove equal to its source
    #[arg(long)]
    allow_unproved: bool,

    #[command(flatten)]
    folders: Folders,
}

impl Load {
    /// Whether everything is removed again.
    pub(crate) fn is_rehearsal(&self) -> bool {
        self.dry_run
    }

    /// Where things are kept.
    pub(crate) fn folders(&self) -> &Folders {
        &self.folders
    }
}

/// Loads.
pub(crate) fn run(options: &Load) -> Result<Outcome, Failure> {
    let bytes = disk::read(&options.snapshot)?;
    let snapshot = read(&options.snapshot, &bytes)?;
    check_key(options, &snapshot)?;
    check_proof(options, &snapshot)?;
    let named = points::existing(&options.at)?;
    let (state, _lock) = State::lock(&options.folders.state)?;
    let plan = Plan::make(state.attachments()?, named, options.identities.as_deref(), options.connect)?;
    plan.check_gateways(&snapshot)?;
    plan.notes(&snapshot).iter().for_each(|note| terminal::note(note));
    let was_empty = Kernel::look(&options.folders.bpffs)?.is_none();
    let kernel = Kernel::open(&options.folders.bpffs)?;
    let done = enforce_or_try(options, (&kernel, &state), &plan, (&snapshot, &bytes));
    if was_empty && (done.is_err() || options.dry_run) {
        // Nothing was there before, and nothing stays.
        let undone = kernel.unload().map_err(Failure::from);
        return match done {
            Err(failure) => Err(failure.and(undone)),
            Ok(outcome) => undone.map(|()| outcome),
        };
    }
    done
}

fn enforce_or_try(
    options: &Load,
    (kernel, state): (&Kernel, &State),
    plan: &Plan,
    (snapshot, bytes): (&Snapshot, &[u8]),
) -> Result<Outcome, Failure> {
    state.settle(kernel)?;
    let endpoints: Vec<(u32, Endpoint)> =
        plan.after.points.iter().map(|point| (point.slot, point.who.endpoint(&snapshot.meta))).collect();
    let prepared = kernel.prepare(&New { tables: snapshot.tables.bytes(), endpoints: &endpoints })?;
    if let Err(failure) = vectors::ask(kernel, &prepared, snapshot) {
        return Err(failure.and(kernel.abandon(prepared).map_err(Failure::from)));
    }
    if options.dry_run {
        kernel.abandon(prepared)?;
        say(snapshot, "would be enforced", plan)?;
        return Ok(Outcome::Done);
    }
    enforce::enforce((kernel, state), plan, (snapshot, bytes), prepared)?;
    say(snapshot, "is enforced", plan)?;
    Ok(Outcome::Done)
}

/// Reads and checks a snapshot.
fn read(path: &Path, bytes: &[u8]) -> Result<Snapshot, Failure> {
    file::read(bytes).map_err(|error| {
        Failure::new(format!("`{}` is no snapshot to load: {error}", path.display())).help(error.help())
    })
}

fn check_key(options: &Load, snapshot: &Snapshot) -> Result<(), Failure> {
    let Some(path) = &options.require_key else { return Ok(()) };
    let keys = sign::public_keys(&disk::read_text(path)?)
        .map_err(|error| Failure::new(format!("`{}`: {error}", path.display())).help(error.help()))?;
    let shown = options.snapshot.display();
    match snapshot.signer {
        Some(signer) if keys.contains(&signer) => Ok(()),
        Some(signer) => {
            Err(Failure::new(format!("`{shown}` is signed by `ed25519:{}`, which is not trusted", hex(&signer)))
                .help(format!("`{}` lists the keys that are", path.display())))
        }
        None => {
            Err(Failure::new(format!("`{shown}` is not signed"))
                .help("sign it with `egressc compile --sign-key KEY.pem`"))
        }
    }
}

fn check_proof(options: &Load, snapshot: &Snapshot) -> Result<(), Failure> {
    match &snapshot.meta.unproved {
        Some(why) if !options.allow_unproved => {
            Err(Failure::new(format!("`{}` is not proved equal to its source: {why}", options.snapshot.display()))
                .help("compile it without `--unproved`, or load it with `--allow-unproved`"))
        }
        _ => Ok(()),
    }
}

fn say(snapshot: &Snapshot, what: &str, plan: &Plan) -> Result<(), Failure> {
    let (generation, digest) = (snapshot.meta.generation, hex(&snapshot.digest));
    let points = match plan.after.points.len() {
        1 => "1 attach point".to_owned(),
        count => format!("{count} attach points"),
    };
    let vectors = snapshot.meta.vectors.len();
    let text = format!("generation {generation} (sha256:{digest}) {what} at {points}; {vectors} test vectors passed\n");
    terminal::print(text.as_bytes()).map(drop)
}
