//! Properties of the markdown report, as a parser of GitHub's markdown sees it.

use super::super::sample;
use super::*;
use comrak::nodes::{AstNode, NodeValue};
use comrak::{Arena, Options, parse_document};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[test]
fn the_verdict_comes_first_then_what_to_do_then_tables() {
    insta::assert_snapshot!(render(&sample::failed(), usize::MAX));
}

#[test]
fn an_incomplete_run_says_so() {
    let text = render(&sample::incomplete(), usize::MAX);
    assert!(text.starts_with("# ? UNVERIFIED\n\n**The run is incomplete"), "{text}");
}

#[test]
fn what_is_too_long_is_left_out_from_the_end_and_said() {
    let report = sample::failed();
    let (all, tame) = (render(&report, usize::MAX), seen(&render(&report, usize::MAX)));
    assert_eq!(render(&report, all.len()), all);
    for limit in (0..all.len()).step_by(13) {
        let text = render(&report, limit);
        assert!(text.len() <= limit);
        if text.is_empty() {
            assert!(limit < 1000, "{limit}");
            continue;
        }
        assert!(text.contains("left out for its size"), "{limit}");
        assert!(text.contains("--format markdown"), "{limit}");
        assert_eq!(text.matches("<details>").count(), text.matches("</details>").count());
        assert!(seen(&text).tables.iter().all(|table| tame.tables.contains(table)), "{limit}");
    }
}

/// What a parser finds on a page.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    /// The number of nodes of each kind that could be more than text.
    nodes: BTreeMap<&'static str, usize>,
    /// The number of cells in each row of each table, and the content of the last cell: an unescaped separator would
    /// move it.
    tables: Vec<Vec<(usize, String)>>,
    /// Pieces of HTML, without the text in them.
    html: Vec<String>,
}

fn seen(page: &str) -> Seen {
    let arena = Arena::new();
    let root = parse_document(&arena, page, &options());
    let mut seen = Seen::default();
    for node in root.descendants() {
        seen.take(node);
    }
    seen
}

/// The extensions of GitHub's markdown.
fn options() -> Options<'static> {
    let mut options = Options::default();
    options.extension.table = true;
    options.extension.autolink = true;
    options.extension.strikethrough = true;
    options.extension.footnotes = true;
    options.extension.tasklist = true;
    options.extension.math_dollars = true;
    options
}

/// The text of a node, as a reader sees it.
fn said<'a>(node: &'a AstNode<'a>) -> String {
    let text = |node: &'a AstNode<'a>| match &node.data.borrow().value {
        NodeValue::Text(text) => text.to_string(),
        _ => String::new(),
    };
    node.descendants().map(text).collect::<String>().replace(JOINER, "")
}

impl Seen {
    fn take<'a>(&mut self, node: &'a AstNode<'a>) {
        let name = match &node.data.borrow().value {
            NodeValue::Text(_) => return,
            NodeValue::Table(_) => {
                let row =
                    |row: &'a AstNode<'a>| (row.children().count(), row.last_child().map(said).unwrap());
                self.tables.push(node.children().map(row).collect());
                "table"
            }
            NodeValue::HtmlBlock(html) => {
                let tags = html.literal.split('<').skip(1).map(|tag| tag.split('>').next().unwrap());
                self.html.extend(tags.map(str::to_owned));
                "html"
            }
            NodeValue::HtmlInline(_) => "inline html",
            NodeValue::Link(_) => "link",
            NodeValue::Image(_) => "image",
            NodeValue::CodeBlock(_) => "block",
            NodeValue::Code(_) => "code",
            NodeValue::Heading(_) => "heading",
            NodeValue::Emph => "emphasis",
            NodeValue::Strong => "strong",
            NodeValue::Strikethrough => "strike",
            NodeValue::Item(_) => "item",
            NodeValue::Paragraph => "paragraph",
            _ => "other",
        };
        *self.nodes.entry(name).or_default() += 1;
    }
}

/// The sample with this text in every place where a text may come from outside.
fn attacked(text: &str) -> Report {
    let known = sample::hostile().run;
    let [known, text] = [known.as_str(), text].map(|text| {
        let quoted = serde_json::to_string(text).unwrap();
        quoted[1..quoted.len() - 1].to_owned()
    });
    let hostile = serde_json::to_string(&sample::hostile()).unwrap();
    serde_json::from_str(&hostile.replace(&known, &text)).unwrap()
}

/// Text that tries to be markup. It begins with a letter, because an empty text leaves a line out.
fn attack() -> impl Strategy<Value = String> {
    let pieces = vec![
        "|",
        "\\",
        "\\|",
        "`",
        "```",
        "~~~",
        "<",
        ">",
        "</details>",
        "<img src=x>",
        "<!--",
        "-->",
        "&",
        "&#124;",
        "&lt;",
        "\n",
        "\n\n",
        "\r",
        "[a](http://b.c)",
        "![a](http://b.c/d.png)",
        "[a]: http://b.c",
        "https://evil.example/x",
        "http://evil.example",
        "www.evil.example",
        "WWW.evil.example",
        "mailto:a@b.example",
        "a@b.example",
        "@someone",
        "#12",
        "a/b#12",
        "*",
        "**",
        "_",
        "__",
        "~~",
        "$",
        "$$",
        "# ",
        "- ",
        "1. ",
        "> ",
        "---",
        "===",
        "|---|",
        ":tada:",
        "[^1]",
        "[ ] ",
        "    ",
        "\t",
        "\u{2028}",
        "ftp://x.y",
        "xmpp:a@b.c",
        "<https://evil.example>",
        "w",
        "/",
    ];
    let piece = prop_oneof!["\\PC{0,4}", proptest::sample::select(pieces).prop_map(str::to_owned)];
    proptest::collection::vec(piece, 0..10).prop_map(|pieces| format!("a{}", pieces.concat()))
}

proptest! {
    #[test]
    fn no_text_is_more_than_text(text in attack()) {
        let tame = seen(&render(&attacked("tame"), usize::MAX));
        let page = render(&attacked(&text), usize::MAX);
        prop_assert_eq!(seen(&page), tame, "{}", page);
    }

    #[test]
    fn a_text_is_read_as_it_was(words in attack()) {
        let arena = Arena::new();
        let root = parse_document(&arena, &format!("Claim: {}", text(&words)), &options());
        let read = said(root);
        prop_assert_eq!(read, format!("Claim: {}", words::line(&words.replace(JOINER, ""))));
    }
}

#[test]
fn a_name_can_still_be_read() {
    assert_eq!(text("phase5/velero-metrics"), "phase5/velero-metrics");
    assert_eq!(text("a | b\nc"), "a &#124; b c");
    assert_eq!(text("100% of `x`"), "100% of &#96;x&#96;");
}
