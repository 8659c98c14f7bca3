//! Progress on standard error during a run: on a terminal a live table, elsewhere plain lines.
//!
//! The run only queues what happened; a separate thread draws at most ten times a second, so that a run of a thousand
//! fast steps does not wait for its terminal.

use super::screen::Screen;
use super::{Tally, text, words};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use proofmark_model::clock::Clock;
use proofmark_model::{Event, Line, StepProgress, Verdict};
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The shortest time between two redraws.
const BEAT: Duration = Duration::from_millis(100);

/// The shortest time between two plain lines about the progress of a slow step.
const OFTEN: Duration = Duration::from_secs(10);

/// Longest column of names, in characters; a longer name pushes its own line to the right.
const NAMES: usize = 44;

/// Receives the events of a run and shows them. When dropped, it leaves the terminal as plain lines would have left it.
pub struct Progress {
    news: Arc<Mutex<News>>,
    clock: Clock,
    colour: bool,
    spoke: bool,
    /// The last change of a step that was put back: the changes of a step are shown as one, after the last of them.
    back: Option<Event>,
    /// The thread that draws the table, and the channel that ends it; `None` where plain lines are written.
    drawer: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

/// What happened, for the drawing thread to show.
#[derive(Default)]
struct News {
    /// Lines that have not been shown yet.
    said: Vec<String>,
    running: Vec<Running>,
    ended: Tally,
    steps: usize,
    /// The width of the column of names.
    wide: usize,
    /// When the last line was written.
    told: Duration,
}

/// A step in progress.
struct Running {
    name: String,
    note: String,
}

impl Progress {
    /// Shows progress on standard error: a table if that is a terminal that can move its cursor and is not read by a CI
    /// runner, else plain lines.
    pub fn start(clock: &Clock) -> Self {
        let stderr = std::io::stderr();
        let table = stderr.is_terminal() && anstyle_query::term_supports_color() && !anstyle_query::is_ci();
        let colour = anstream::AutoStream::choice(&stderr) != anstream::ColorChoice::Never;
        let clock = clock.clone();
        let mut progress =
            Self { news: Arc::default(), clock, colour, spoke: false, back: None, drawer: None };
        if table {
            let (end, ended) = mpsc::channel();
            let news = Arc::clone(&progress.news);
            let mut table =
                Table::new(ProgressDrawTarget::term_like(Box::new(Screen::stderr())), Box::new(tell), colour);
            let draw = move || {
                while matches!(ended.recv_timeout(BEAT), Err(RecvTimeoutError::Timeout)) {
                    table.draw(&news);
                }
                table.end(&news);
            };
            let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(draw);
            progress.drawer = thread.ok().map(|thread| (end, thread));
        }
        progress
    }

    /// Records an event.
    pub fn take(&mut self, line: &Line) {
        locked(&self.news).take(&line.event);
        if self.back.as_mut().is_some_and(|back| add(back, &line.event)) {
            return;
        }
        self.told_back();
        if matches!(line.event, Event::Reverted { verdict: Verdict::Passed, .. }) {
            self.back = Some(line.event.clone());
        } else {
            self.say(&line.event);
        }
    }

    fn told_back(&mut self) {
        if let Some(back) = self.back.take() {
            self.say(&back);
        }
    }

    fn say(&mut self, event: &Event) {
        let mut news = locked(&self.news);
        news.told = self.clock.elapsed();
        let Some(said) = text::event_line(event, news.wide, self.colour) else { return };
        self.spoke = true;
        if self.drawer.is_some() {
            news.said.push(said);
        } else {
            tell(&said);
        }
    }

    /// Returns a listener for the progress of a scenario's step, which appears in its row, or now and then as a plain
    /// line.
    pub fn heard(&self) -> impl Fn(&str, &str, &StepProgress) + Send + Sync + 'static {
        let (news, clock, table) = (Arc::clone(&self.news), self.clock.clone(), self.drawer.is_some());
        move |scenario, step, far| {
            let said = locked(&news).hear(&name(scenario, step), far, (table, clock.elapsed()));
            if let Some(said) = said {
                tell(&said);
            }
        }
    }
}

/// The scenario and step of an event.
fn of(event: &Event) -> Option<(&str, &str)> {
    match event {
        Event::Attempted { scenario, step, .. } | Event::Reverted { scenario, step, .. } => {
            Some((scenario, step))
        }
        _ => None,
    }
}

/// Merges another event about the same step being put back; `false` for any other event.
fn add(back: &mut Event, more: &Event) -> bool {
    if of(back) != of(more) {
        return false;
    }
    if matches!(more, Event::Attempted { .. }) {
        return true;
    }
    let Event::Reverted { seconds, rounds, findings, .. } = back else { return false };
    let Event::Reverted {
        verdict: Verdict::Passed,
        seconds: took,
        rounds: took_rounds,
        findings: others,
        ..
    } = more
    else {
        return false;
    };
    *seconds += took;
    *rounds = (*rounds).max(*took_rounds);
    findings.extend(others.iter().cloned());
    true
}

fn tell(lines: &str) {
    let _ = writeln!(anstream::stderr(), "{lines}");
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.told_back();
        if let Some((end, thread)) = self.drawer.take() {
            drop(end);
            let _ = thread.join();
        }
        if self.spoke {
            // The report follows.
            tell("");
        }
    }
}

fn name(scenario: &str, step: &str) -> String {
    words::line(&format!("{scenario}#{step}"))
}

fn locked(news: &Mutex<News>) -> MutexGuard<'_, News> {
    news.lock().unwrap_or_else(PoisonError::into_inner)
}

impl News {
    fn take(&mut self, event: &Event) {
        match event {
            Event::RunStarted { scenarios, .. } => {
                self.steps = scenarios.iter().map(|scenario| scenario.steps.len()).sum();
                let names = scenarios.iter().flat_map(|s| s.steps.iter().map(|(step, _)| name(&s.id, step)));
                let wide = names.map(|name| name.chars().count()).filter(|wide| *wide <= NAMES);
                self.wide = wide.max().unwrap_or(0);
            }
            Event::StepStarted { scenario, step, kind } => {
                self.running.push(Running { name: name(scenario, step), note: words::line(kind) });
            }
            Event::Attempted { scenario, step, round, verdict, why, .. } => {
                let name = name(scenario, step);
                let word = if *verdict == Verdict::Passed { "" } else { "not yet: " };
                self.note(&name, format!("round {round}, {word}{}", words::line(why)));
            }
            Event::StepEnded { scenario, step, verdict, .. } => {
                let name = name(scenario, step);
                self.running.retain(|running| running.name != name);
                self.ended.add(*verdict);
            }
            Event::Reverted { scenario, step, .. } => {
                let name = name(scenario, step);
                self.running.retain(|running| running.name != name);
            }
            _ => {}
        }
    }

    fn note(&mut self, name: &str, note: String) {
        if let Some(running) = self.running.iter_mut().find(|running| running.name == name) {
            running.note = note;
        } else {
            // A step that has ended is being put back.
            let (name, note) = (name.to_owned(), format!("putting back: {note}"));
            self.running.push(Running { name, note });
        }
    }

    /// Records the progress of a step. Returns a line to write if there is no table and none was written for a while.
    fn hear(&mut self, name: &str, far: &StepProgress, (table, now): (bool, Duration)) -> Option<String> {
        let note = words::far(far);
        if table {
            self.note(name, note);
            return None;
        }
        (now.saturating_sub(self.told) >= OFTEN).then(|| {
            self.told = now;
            super::inert(&format!("  … {name:<wide$}  {:>6}  {note}", "", wide = self.wide))
        })
    }

    fn summary(&self) -> String {
        let mut line = format!("{} of {}", self.ended.total(), words::count(self.steps, "step"));
        if self.ended.total() > 0 {
            let _ = write!(line, ": {}", words::tally(self.ended));
        }
        line
    }
}

/// The table: a row for each step in progress, and one for the whole run.
struct Table {
    rows: MultiProgress,
    steps: Vec<(String, ProgressBar)>,
    whole: ProgressBar,
    /// Writes a line above the table.
    say: Box<dyn Fn(&str) + Send>,
    colour: bool,
}

impl Table {
    fn new(target: ProgressDrawTarget, say: Box<dyn Fn(&str) + Send>, colour: bool) -> Self {
        let rows = MultiProgress::with_draw_target(target);
        let whole = rows.add(ProgressBar::no_length().with_style(style("  {spinner} {took}  {wide_msg}")));
        Self { rows, steps: Vec::new(), whole, say, colour }
    }

    fn draw(&mut self, news: &Mutex<News>) {
        let mut news = locked(news);
        self.say(&std::mem::take(&mut news.said));
        self.steps.retain(|(name, row)| {
            let stays = news.running.iter().any(|running| running.name == *name);
            if !stays {
                row.finish_and_clear();
                self.rows.remove(row);
            }
            stays
        });
        for running in &news.running {
            if !self.steps.iter().any(|(name, _)| *name == running.name) {
                let row =
                    ProgressBar::no_length().with_style(style("  {spinner} {prefix}  {took}  {wide_msg}"));
                let row = self.rows.insert_before(&self.whole, row.with_prefix(running.name.clone()));
                self.steps.push((running.name.clone(), row));
            }
        }
        let notes: Vec<String> = news.running.iter().map(|running| running.note.clone()).collect();
        let summary = news.summary();
        // The terminal may be slow; the run must not wait for it.
        drop(news);
        for ((_, row), note) in self.steps.iter().zip(notes) {
            row.set_message(text::quiet(&note, self.colour));
            row.tick();
        }
        self.whole.set_message(text::quiet(&summary, self.colour));
        self.whole.tick();
    }

    /// Writes the last lines and removes the table.
    fn end(&mut self, news: &Mutex<News>) {
        let said = std::mem::take(&mut locked(news).said);
        for (_, row) in self.steps.drain(..) {
            row.finish_and_clear();
        }
        self.whole.finish_and_clear();
        let _ = self.rows.clear();
        if !said.is_empty() {
            (self.say)(&said.join("\n"));
        }
    }

    fn say(&self, lines: &[String]) {
        if !lines.is_empty() {
            self.rows.suspend(|| (self.say)(&lines.join("\n")));
        }
    }
}

/// The columns of a row. An invalid template would leave the plain default, which a test would detect.
fn style(template: &str) -> ProgressStyle {
    let took = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        let _ = write!(out, "{:>7}", words::seconds(state.elapsed().as_secs_f64()));
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    style.tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ").with_key("took", took)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use indicatif::{InMemoryTerm, TermLike as _};

    fn table(term: &InMemoryTerm, colour: bool) -> (Progress, Table) {
        // Only for its notes: the thread does nothing, the test draws.
        let (end, _) = mpsc::channel();
        let drawer = Some((end, std::thread::spawn(|| {})));
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(term.clone()), 255);
        let above = term.clone();
        let say = move |lines: &str| lines.lines().for_each(|line| above.write_line(line).unwrap());
        let table = Table::new(target, Box::new(say), colour);
        let clock = Clock::told(jiff::Timestamp::UNIX_EPOCH);
        (Progress { news: Arc::default(), clock, colour, spoke: false, back: None, drawer }, table)
    }

    #[test]
    fn a_step_in_progress_says_its_round_and_why_it_is_not_there_yet() {
        let term = InMemoryTerm::new(20, 120);
        let (mut progress, mut table) = table(&term, false);
        let lines = sample::lines(sample::events());
        for line in &lines[..4] {
            progress.take(line);
        }
        table.draw(&progress.news);
        let shown = term.contents();
        let (row, whole) = shown.split_once('\n').unwrap();
        assert!(row.contains("phase5/velero-metrics#target") && row.contains("0.0"), "{shown}");
        assert!(row.contains("round 1, not yet: every target is up"), "{shown}");
        assert!(whole.ends_with("0 of 5 steps"), "{shown}");
        for line in &lines[4..] {
            progress.take(line);
        }
        table.draw(&progress.news);
        assert!(term.contents().contains("✗ phase5/velero-metrics#target"), "{}", term.contents());
        assert!(term.contents().ends_with("4 of 5 steps: 1 failed, 1 unverified, 1 skipped, 1 passed"));
    }

    #[test]
    fn in_the_end_only_the_lines_are_left() {
        let (plain, drawn) = (InMemoryTerm::new(30, 300), InMemoryTerm::new(30, 300));
        for (term, often) in [(&plain, false), (&drawn, true)] {
            let (mut progress, mut table) = table(term, false);
            for line in sample::lines(sample::events()) {
                progress.take(&line);
                if often {
                    table.draw(&progress.news);
                }
            }
            table.end(&progress.news);
        }
        assert_eq!(drawn.contents(), plain.contents());
        assert_eq!(plain.contents().lines().count(), 5, "{}", plain.contents());
    }

    fn reverted(step: &str, verdict: Verdict) -> Event {
        Event::Reverted {
            scenario: "s".into(),
            step: step.into(),
            kind: "backup".into(),
            of: "run".into(),
            promise: 1,
            verdict,
            seconds: 0.5,
            rounds: 1,
            file: String::new(),
            sha256: String::new(),
            findings: vec![proofmark_model::Finding::judged("w", 1, 1, verdict == Verdict::Passed)],
        }
    }

    #[test]
    fn what_a_step_puts_back_is_one_line_unless_it_is_not_back() {
        let term = InMemoryTerm::new(20, 120);
        let (mut progress, mut table) = table(&term, false);
        let mut line = sample::lines(sample::events()).remove(0);
        let all =
            [("a", Verdict::Passed), ("a", Verdict::Passed), ("b", Verdict::Passed), ("b", Verdict::Failed)];
        for (step, verdict) in all {
            line.event = reverted(step, verdict);
            progress.take(&line);
        }
        table.draw(&progress.news);
        let shown = term.contents();
        assert_eq!(shown.matches("put back, ").count(), 2, "{shown}");
        assert!(shown.contains("1.00s  put back, 2 findings") && shown.contains("✗ s#b"), "{shown}");
    }

    #[test]
    fn a_step_says_how_far_it_has_come_in_its_row_or_now_and_then() {
        let far = |done| StepProgress {
            what: "reading",
            bytes: Some((done, Some(4_000_000))),
            tables: Some((3, 21)),
        };
        let term = InMemoryTerm::new(20, 120);
        let (progress, mut table) = table(&term, false);
        locked(&progress.news).take(&Event::StepStarted {
            scenario: "s".into(),
            step: "a".into(),
            kind: "backup".into(),
        });
        progress.heard()("s", "a", &far(1_000_000));
        table.draw(&progress.news);
        let row = "reading ━━━━━───────────────  1.00 MB of 4.00 MB, 3 of 21 tables";
        assert!(term.contents().contains(row), "{}", term.contents());
        let mut news = News::default();
        let at = |news: &mut News, seconds| news.hear("s#a", &far(0), (false, Duration::from_secs(seconds)));
        assert_eq!(at(&mut news, 9), None);
        assert!(at(&mut news, 10).is_some_and(|line| line.starts_with("  … s#a")));
        assert_eq!((at(&mut news, 19), at(&mut news, 20).is_some()), (None, true));
    }

    #[test]
    fn a_long_reason_keeps_to_its_row_and_colour_is_only_there_where_wanted() {
        for colour in [false, true] {
            let term = InMemoryTerm::new(20, 80);
            let (mut progress, mut table) = table(&term, colour);
            for mut line in sample::lines(sample::events()).into_iter().take(4) {
                if let Event::Attempted { why, .. } = &mut line.event {
                    *why = "long\n".repeat(100);
                }
                progress.take(&line);
            }
            table.draw(&progress.news);
            assert_eq!(term.contents().lines().count(), 2, "{}", term.contents());
            let coloured = String::from_utf8_lossy(&term.contents_formatted()).contains("\u{1b}[2m");
            assert_eq!(coloured, colour);
        }
    }
}
