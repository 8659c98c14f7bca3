//! Looks at a real system until it is as it should be.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use crate::ground::look::{Look, look};
use proofmark_engine::Cx;
use proofmark_model::Verdict;
use serde_json::Value;
use std::time::Duration;

/// How long a real system may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks again and again until the verdict is this one; then returns that look.
pub async fn until(cx: &Cx, kind: Value, wanted: Verdict) -> Look {
    let deadline = cx.clock.elapsed() + PATIENCE;
    loop {
        let last = look(cx, kind.clone()).await.unwrap();
        if last.verdict == wanted {
            return last;
        }
        assert!(cx.clock.elapsed() < deadline, "{last:#?}");
        cx.clock.sleep(Duration::from_millis(100)).await;
    }
}
