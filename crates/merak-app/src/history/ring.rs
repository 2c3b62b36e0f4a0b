//! The newest records, in memory, to be paged through.
//!
//! Invariant: it holds so many and no more, in the order of their numbers.
//! Not here: what becomes of older ones (the log).

use super::Record;
use std::collections::VecDeque;
use std::sync::Arc;

/// Which records are asked for; what is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// What was changed, in the log's words, whatever their case.
    pub resource: Option<Box<str>>,
    /// A part of its name.
    pub name: Option<Box<str>>,
    /// Its namespace.
    pub namespace: Option<Box<str>>,
    /// Who asked: the operator as the log has it, the user alone, or the address.
    pub operator: Option<Box<str>>,
    /// Not before this, wall clock milliseconds.
    pub since_ms: Option<u64>,
}

impl Filter {
    fn takes(&self, record: &Record) -> bool {
        let by = |asked: &str| {
            let origin = &record.origin;
            origin.user() == Some(asked)
                || origin.said() == Some(asked)
                || origin.operator() == asked
                || origin.ip().is_some_and(|ip| asked.parse() == Ok(ip))
        };
        let is = |asked: &Option<Box<str>>, fits: &dyn Fn(&str) -> bool| asked.as_deref().is_none_or(fits);
        self.since_ms.is_none_or(|since| record.at_ms >= since)
            && is(&self.resource, &|asked| record.resource.as_str().eq_ignore_ascii_case(asked))
            && is(&self.namespace, &|asked| *record.namespace == *asked)
            && is(&self.name, &|asked| record.name.contains(asked))
            && is(&self.operator, &by)
    }
}

/// One page of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Records on all pages.
    pub total: usize,
    /// Those of this page, newest first.
    pub records: Vec<Arc<Record>>,
}

pub(super) struct Ring {
    records: VecDeque<Arc<Record>>,
    max: usize,
}

impl Ring {
    pub(super) fn new(max: usize) -> Ring {
        Ring { records: VecDeque::new(), max }
    }

    /// Takes one in; the oldest one makes room.
    pub(super) fn push(&mut self, record: Arc<Record>) {
        if self.max == 0 {
            return;
        }
        if self.records.len() == self.max {
            self.records.pop_front();
        }
        self.records.push_back(record);
    }

    /// What the filter takes, newest first, without the first `offset` and at most `limit` of it.
    pub(super) fn page(&self, filter: &Filter, offset: usize, limit: usize) -> Page {
        let mut page = Page { total: 0, records: Vec::new() };
        for record in self.records.iter().rev().filter(|record| filter.takes(record)) {
            if page.total >= offset && page.records.len() < limit {
                page.records.push(Arc::clone(record));
            }
            page.total += 1;
        }
        page
    }
}
