//! Second filter: closes what was left open, drops what is out of place and
//! judges attribute values, so that the HTML parser has nothing to repair.
//!
//! Repairs are what makes HTML parsing slow and slippery: an unclosed `<b>` is
//! cloned into each later paragraph (a megabyte of such input can become
//! gigabytes), and what was repaired once may be repaired differently when
//! parsed again. So an element ends here at the end of the block it began in.
//! Tags nested deeper than [`MAX_DEPTH`] are dropped and their text is kept.

use std::cell::RefCell;
use std::collections::HashMap;

use html5ever::buffer_queue::BufferQueue;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};

use super::policy::{self, Element, Kind, Verdict};
use super::removed::Removals;
use super::scan;

/// Most elements that may be open at once.
pub(super) const MAX_DEPTH: usize = 100;

const MISPLACED: &str = "it is not allowed at this place";
pub(super) const TOO_DEEP: &str = "it is nested too deep";
const ROW_GROUPS: &[&str] = &["thead", "tbody", "tfoot"];

/// Rewrites `html` as well-nested allowed elements.
pub(super) fn balance(html: &str, removals: &mut Removals) -> String {
    let state = State {
        output: String::with_capacity(html.len() + html.len() / 8),
        open: Vec::new(),
        pre_start: usize::MAX,
        too_deep: HashMap::new(),
        removals: std::mem::take(removals),
    };
    let tokenizer = Tokenizer::new(Sink(RefCell::new(state)), TokenizerOpts::default());
    let queue = BufferQueue::default();
    queue.push_back(StrTendril::from(html));
    // Only scripts and encodings interrupt, and neither reaches this point.
    let _ = tokenizer.feed(&queue);
    tokenizer.end();
    let mut state = tokenizer.sink.0.into_inner();
    state.close_down_to(0);
    *removals = state.removals;
    state.output
}

struct Sink(RefCell<State>);

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut state = self.0.borrow_mut();
        match token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => state.start(&tag),
            Token::TagToken(tag) => state.end(&tag.name),
            Token::CharacterTokens(text) => state.text(&text),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

struct State {
    output: String,
    open: Vec<&'static Element>,
    /// Where the content of the latest `<pre>` begins in the output.
    pre_start: usize,
    /// End tags still to come for start tags that were dropped as too deep.
    too_deep: HashMap<&'static str, u32>,
    removals: Removals,
}

impl State {
    fn text(&mut self, text: &str) {
        // Each parser drops a line feed after the tag, so none could be stable.
        let is_in_new_pre = self.pre_start == self.output.len();
        let text = if is_in_new_pre { text.trim_start_matches('\n') } else { text };
        if is_in_new_pre && text.is_empty() {
            return;
        }
        let last = self.open.last().map_or("", |open| open.name);
        let is_between_cells = is_table_frame(last) || last == "colgroup";
        if is_between_cells && !text.trim_ascii().is_empty() {
            // The parser would move it out of the table, and a link around the
            // table with it; a cell of its own keeps it in place.
            self.make_room_for_table_part("td");
            self.add_table_part("td");
        }
        self.output.push_str(&scan::escape(text));
    }

    fn start(&mut self, tag: &Tag) {
        let Some(element) = policy::element(&tag.name) else {
            self.removals.add_element(&tag.name, "it is not allowed in an article");
            return;
        };
        if !self.too_deep.is_empty() {
            // Inside of something too deep; not even looked at, to save time.
            self.drop_too_deep(element);
        } else if element.name == "input" && !self.is_task_checkbox(tag) {
            self.removals.add_element("input", "only checkboxes of task lists are allowed");
        } else if !self.make_room_for(element) {
            self.removals.add_element(element.name, MISPLACED);
        } else if self.open.len() >= MAX_DEPTH {
            self.drop_too_deep(element);
        } else {
            self.write_start(element, tag);
        }
    }

    fn drop_too_deep(&mut self, element: &'static Element) {
        self.removals.add_element(element.name, TOO_DEEP);
        if !element.is_void() {
            *self.too_deep.entry(element.name).or_default() += 1;
        }
    }

    fn is_task_checkbox(&self, tag: &Tag) -> bool {
        let has = |name: &str| tag.attrs.iter().find(|attribute| &*attribute.name.local == name);
        has("disabled").is_some()
            && has("type").is_some_and(|kind| kind.value.eq_ignore_ascii_case("checkbox"))
            && self.open.iter().any(|open| open.name == "li")
    }

    fn write_start(&mut self, element: &'static Element, tag: &Tag) {
        self.output.push('<');
        self.output.push_str(element.name);
        for attribute in &tag.attrs {
            let name: &str = &attribute.name.local;
            let value = if name == policy::FOOTNOTE_MARK {
                Verdict::Keep((&*attribute.value).into())
            } else {
                policy::judge(element.name, name, &attribute.value)
            };
            match value {
                Verdict::Keep(value) => {
                    self.output.push(' ');
                    self.output.push_str(name);
                    self.output.push_str("=\"");
                    self.output.push_str(&scan::escape(&value));
                    self.output.push('"');
                }
                Verdict::Remove(reason) => self.removals.add_value(element.name, name, reason),
            }
        }
        self.output.push('>');
        if !element.is_void() {
            self.open.push(element);
        }
        if element.name == "pre" {
            self.pre_start = self.output.len();
        }
    }

    /// Closes whatever `element` ends by beginning; false if it cannot be here.
    fn make_room_for(&mut self, element: &'static Element) -> bool {
        match (element.kind, element.name) {
            (Kind::TablePart, _) => return self.make_room_for_table_part(element.name),
            (_, "li") => self.close_nearest(|open| open.name == "li", &["ul", "ol"]),
            (_, "dt" | "dd") => {
                self.close_nearest(|open| matches!(open.name, "dt" | "dd"), &["dl"]);
            }
            (_, "rt" | "rp") => {
                self.close_nearest(|open| matches!(open.name, "rt" | "rp"), &["ruby"]);
            }
            (_, "a") => self.close_nearest(|open| open.name == "a", &[]),
            (Kind::Heading, _) => self.close_nearest(|open| open.kind == Kind::Heading, &[]),
            _ => {}
        }
        if !element.is_inline() {
            self.close_nearest(|open| open.name == "p", &[]);
        }
        if self.open.last().is_some_and(|open| open.name == "colgroup") {
            self.close_down_to(self.open.len() - 1);
        }
        let is_between_cells = self.open.last().is_some_and(|open| is_table_frame(open.name));
        !is_between_cells
    }

    fn make_room_for_table_part(&mut self, name: &str) -> bool {
        let Some(table) = self.open.iter().rposition(|open| open.name == "table") else {
            return false;
        };
        let parents: &[&str] = match name {
            "tr" => ROW_GROUPS,
            "td" | "th" => &["tr"],
            "col" => &["colgroup"],
            _ => &[],
        };
        let is_parent = |open: &&Element| parents.contains(&open.name);
        let keep = match self.open[table + 1..].iter().rposition(is_parent) {
            Some(above) => table + 1 + above + 1,
            None => table + 1,
        };
        // Cells directly in a row group: keep the group, the row is added below.
        let group = self.open[table + 1..].first().filter(|open| ROW_GROUPS.contains(&open.name));
        let keep = if matches!(name, "td" | "th") && keep == table + 1 && group.is_some() { table + 2 } else { keep };
        self.close_down_to(keep);
        self.add_missing_table_parts(name);
        true
    }

    /// Writes the `<tbody>`, `<tr>` and `<colgroup>` that the parser would add.
    fn add_missing_table_parts(&mut self, name: &str) {
        let wanted: &[&str] = match (name, self.open.last().map(|open| open.name)) {
            ("tr", Some("table")) => &["tbody"],
            ("td" | "th", Some("table")) => &["tbody", "tr"],
            ("td" | "th", Some("thead" | "tbody" | "tfoot")) => &["tr"],
            ("col", Some("table")) => &["colgroup"],
            _ => &[],
        };
        for name in wanted {
            self.add_table_part(name);
        }
    }

    fn add_table_part(&mut self, name: &str) {
        if let Some(element) = policy::element(name) {
            self.output.push('<');
            self.output.push_str(element.name);
            self.output.push('>');
            self.open.push(element);
        }
    }

    fn end(&mut self, name: &str) {
        let Some(element) = policy::element(name) else {
            return;
        };
        if let Some(count) = self.too_deep.get_mut(element.name) {
            *count -= 1;
            if *count == 0 {
                self.too_deep.remove(element.name);
            }
            return;
        }
        let found = self.open.iter().rposition(|open| {
            open.name == element.name || (element.kind == Kind::Heading && open.kind == element.kind)
        });
        let Some(found) = found else { return };
        let is_in_reach = self.open[found + 1..].iter().all(|open| match element.name {
            _ if element.is_inline() => open.is_inline(),
            "table" => true,
            "li" => !matches!(open.name, "ul" | "ol" | "table"),
            "dt" | "dd" => !matches!(open.name, "dl" | "table"),
            _ => open.name != "table" && (element.kind == Kind::TablePart || !is_cell(open.name)),
        });
        if is_in_reach {
            self.close_down_to(found);
        }
    }

    /// Closes the innermost matching element of the current table cell, but
    /// none outside of the given containers.
    fn close_nearest(&mut self, matches: impl Fn(&Element) -> bool, containers: &[&str]) {
        for index in (0..self.open.len()).rev() {
            let open = self.open[index];
            if matches(open) {
                self.close_down_to(index);
                return;
            }
            if containers.contains(&open.name) || is_cell(open.name) || is_table_frame(open.name) {
                return;
            }
        }
    }

    fn close_down_to(&mut self, depth: usize) {
        if self.open.len() > depth {
            // What was too deep and never closed must not outlive this.
            self.too_deep.clear();
        }
        while self.open.len() > depth {
            let Some(element) = self.open.pop() else {
                return;
            };
            self.output.push_str("</");
            self.output.push_str(element.name);
            self.output.push('>');
        }
    }
}

fn is_cell(name: &str) -> bool {
    matches!(name, "td" | "th" | "caption")
}

/// Elements in which only table parts may stand.
fn is_table_frame(name: &str) -> bool {
    matches!(name, "table" | "thead" | "tbody" | "tfoot" | "tr")
}
