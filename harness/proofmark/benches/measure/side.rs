//! Measures programs beside each other: in turn, with their time and the most memory that they held.

use proofmark_model::clock::Clock;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// So often each side runs as a rule, after once to warm up.
pub const ROUNDS: usize = 7;

/// What one run took.
pub struct Taken {
    /// From start to end.
    pub seconds: f64,
    /// The most memory that it held, in KiB.
    pub peak_kib: u64,
    /// Seconds of the processor, which say more where others are at work.
    pub busy: f64,
}

/// One side of a comparison: how to start it, and what it took.
pub struct Side {
    /// What it is called in the table.
    pub name: &'static str,
    program: PathBuf,
    args: Vec<String>,
    variables: Vec<(&'static str, String)>,
    /// So many files of steps it must have kept.
    pub kept: usize,
    /// What the steps of each run saw.
    seen: Vec<Value>,
    taken: Vec<Taken>,
}

impl Side {
    /// A program with its arguments.
    pub fn new(name: &'static str, program: impl Into<PathBuf>, args: &[&str]) -> Self {
        let args = args.iter().map(ToString::to_string).collect();
        Self {
            name,
            program: program.into(),
            args,
            variables: Vec::new(),
            kept: 0,
            seen: vec![],
            taken: vec![],
        }
    }

    /// A run of Proofmark that keeps evidence, of at least so many files, and reports.
    pub fn run(name: &'static str, scenario: &Path, environment: Option<&Path>, kept: usize) -> Self {
        let mut args = vec!["run", scenario.to_str().unwrap()];
        args.extend(environment.iter().flat_map(|file| ["--env", file.to_str().unwrap()]));
        args.extend(["--evidence", "evidence", "--reports", "reports"]);
        Self { kept, ..Self::new(name, env!("CARGO_BIN_EXE_proofmark"), &args) }
    }

    /// The same with one more argument.
    #[must_use]
    pub fn arg(mut self, word: &str) -> Self {
        self.args.push(word.to_owned());
        self
    }

    /// The same, not measured yet.
    pub fn again(&self, name: &'static str) -> Self {
        let (program, args, variables) = (self.program.clone(), self.args.clone(), self.variables.clone());
        Self { name, program, args, variables, kept: self.kept, seen: vec![], taken: vec![] }
    }

    /// The same with an environment variable.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: String) -> Self {
        self.variables.push((name, value));
        self
    }

    /// Runs it once below `/usr/bin/time`, in a folder of its own. That stays until the bench ends: ext4 is slow to make
    /// files where many were deleted a moment ago, and the next side would pay for it.
    fn once(&mut self, root: &Path) -> Taken {
        let folder = tempfile::tempdir_in(root).unwrap().keep();
        let peak = folder.join("peak");
        let mut command = Command::new("/usr/bin/time");
        command.args(["-f", "%M %U %S", "-o"]).arg(&peak).arg(&self.program).args(&self.args);
        command.current_dir(&folder).stdin(Stdio::null()).env("NO_COLOR", "1");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let clock = Clock::real();
        let output = command.output().unwrap();
        let seconds = clock.elapsed().as_secs_f64();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} failed: {}", self.name, told.get(..2_000).unwrap_or(&told));
        let kept = files(&folder.join("evidence"), "json");
        assert!(kept >= self.kept, "{} kept {kept} files instead of {} and some", self.name, self.kept);
        self.seen.extend(steps(&folder.join("evidence")));
        let told = fs::read_to_string(peak).unwrap();
        let [peak, user, system] = told.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{told}") };
        let busy = user.parse::<f64>().unwrap() + system.parse::<f64>().unwrap();
        Taken { seconds, peak_kib: peak.parse().unwrap(), busy }
    }

    /// The median of its times, in seconds.
    pub fn median(&self) -> f64 {
        median(self.taken.iter().map(|taken| taken.seconds).collect())
    }

    /// The median of what it took of the processor, in seconds.
    pub fn busy(&self) -> f64 {
        median(self.taken.iter().map(|taken| taken.busy).collect())
    }

    /// The most memory that any of its runs held.
    pub fn peak_mib(&self) -> u64 {
        self.taken.iter().map(|taken| taken.peak_kib).max().unwrap_or_default() / 1024
    }

    /// The median of a number that its steps saw, wherever it stands in what they saw.
    pub fn seen(&self, key: &str) -> f64 {
        median(self.seen.iter().filter_map(|seen| number(seen, key)).collect())
    }

    /// Prints one line.
    pub fn print(&self) {
        println!("  {:<10} {:>8.1} ms   peak {:>3} MiB", self.name, self.median() * 1_000.0, self.peak_mib());
    }
}

/// What each step of a run saw.
fn steps(evidence: &Path) -> Vec<Value> {
    let below = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    };
    let folders = below(evidence).into_iter().flat_map(|run| below(&run)).filter(|path| path.is_dir());
    let files = folders
        .flat_map(|folder| below(&folder))
        .filter(|path| path.extension().is_some_and(|it| it == "json"));
    // Only of runs of few steps is it asked.
    let read = |path: PathBuf| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap();
    files.take(3).map(read).map(|step| step["observation"].clone()).filter(|seen| !seen.is_null()).collect()
}

fn number(seen: &Value, key: &str) -> Option<f64> {
    match seen {
        Value::Object(all) => {
            all.get(key).and_then(Value::as_f64).or_else(|| all.values().find_map(|one| number(one, key)))
        }
        Value::Array(all) => all.iter().find_map(|one| number(one, key)),
        _ => None,
    }
}

/// The one in the middle.
pub fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// How many files of this kind lie below the folder.
fn files(folder: &Path, extension: &str) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let paths = entries.map(|entry| entry.unwrap().path());
    let count = |path: PathBuf| {
        let fits = path.extension().is_some_and(|it| it == extension);
        if path.is_dir() { files(&path, extension) } else { usize::from(fits) }
    };
    paths.map(count).sum()
}

/// Runs all sides in turn for so many rounds, after once to warm up, in folders below `root`.
pub fn measure(sides: &mut [Side], root: &Path, rounds: usize) {
    for side in sides.iter_mut() {
        side.once(root);
        side.seen.clear();
    }
    for _ in 0..rounds {
        for side in sides.iter_mut() {
            let taken = side.once(root);
            side.taken.push(taken);
        }
    }
}
