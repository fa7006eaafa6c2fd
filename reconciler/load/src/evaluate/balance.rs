//! Makes the form `a.x = ..., a.y = ...` cheap.
//!
//! Nickel merges such pieces one after the other: `((x & y) & z) & ...`, and each merge copies
//! what was merged before, so that a thousand of them cost a million copies and a deep stack.
//! Merging is associative; the same pieces in the same order, merged as a balanced tree, cost
//! `n log n`.

use std::convert::Infallible;

use nickel_lang_core::ast::MergeKind;
use nickel_lang_core::cache::{CacheHub, TermEntry};
use nickel_lang_core::eval::value::NickelValue;
use nickel_lang_core::files::FileId;
use nickel_lang_core::label::MergeLabel;
use nickel_lang_core::position::PosTable;
use nickel_lang_core::term::{BinaryOp, Term, make};
use nickel_lang_core::traverse::{Traverse as _, TraverseOrder};
use nickel_lang_core::typecheck::TypecheckMode;

/// Fewer pieces are left as they are.
pub(crate) const FEW: usize = 16;

/// Balances the file `id`, between its compilation and its first evaluation. Where the file has
/// a mistake it is left as it is, and the evaluation will name the mistake.
pub(crate) fn balance_file(cache: &mut CacheHub, positions: &mut PosTable, id: FileId) {
    let ready = cache.parse_to_ast(id).is_ok()
        && cache.typecheck(id, TypecheckMode::Walk).is_ok()
        && cache.compile(positions, id).is_ok();
    if let Some(TermEntry {
        value,
        state,
        format,
    }) = cache.terms.get_entry(id).filter(|_| ready).cloned()
    {
        cache.terms.insert(
            id,
            TermEntry {
                value: balance(value),
                state,
                format,
            },
        );
    }
}

fn balance(value: NickelValue) -> NickelValue {
    let mut each = |value: NickelValue| Ok::<_, Infallible>(rebuild(value));
    match value.traverse(&mut each, TraverseOrder::TopDown) {
        Ok(value) => value,
        Err(never) => match never {},
    }
}

/// A long chain of merged pieces as a balanced tree; anything else as it is.
fn rebuild(value: NickelValue) -> NickelValue {
    let Some((label, _, _)) = merge(&value) else {
        return value;
    };
    let mut pieces = Vec::new();
    let mut rest = value.clone();
    while let Some((_, left, right)) = merge(&rest) {
        pieces.push(right);
        rest = left;
    }
    pieces.push(rest);
    pieces.reverse();
    if pieces.len() < FEW {
        value
    } else {
        tree(&pieces, label)
    }
}

fn merge(value: &NickelValue) -> Option<(MergeLabel, NickelValue, NickelValue)> {
    match value.as_term()? {
        Term::Op2(data) => match &data.op {
            BinaryOp::Merge(label) if label.kind == MergeKind::PiecewiseDef => {
                Some((*label, data.arg1.clone(), data.arg2.clone()))
            }
            _ => None,
        },
        _ => None,
    }
}

fn tree(pieces: &[NickelValue], label: MergeLabel) -> NickelValue {
    match pieces {
        [] => NickelValue::empty_record(),
        [piece] => piece.clone(),
        _ => {
            let (left, right) = pieces.split_at(pieces.len() / 2);
            make::op2(
                BinaryOp::Merge(label),
                tree(left, label),
                tree(right, label),
            )
        }
    }
}
