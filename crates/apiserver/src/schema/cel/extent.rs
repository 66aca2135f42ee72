//! How far a rule may go: parser and evaluation are recursive, and a stack that overflows takes the process along.

use kube_cel::cel::common::ast::{EntryExpr, Expr, IdedExpr};

/// Characters of a rule. Longer ones could be deeper than the parser's stack.
pub(super) const MAX_CHARACTERS: usize = 10_000;

/// Levels of the tree that a rule is: operands, arguments, selections, bodies of macros. `a.b.c` has three. Every level takes
/// some of the stack of whoever writes an object; rules that people write have about ten.
pub(super) const MAX_DEPTH: usize = 40;

/// Levels of an expression.
pub(super) fn depth(expression: &IdedExpr) -> usize {
    let deepest = |parts: &[&IdedExpr]| parts.iter().map(|part| depth(part)).max().unwrap_or_default();
    1 + match &expression.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => 0,
        Expr::Call(call) => {
            deepest(&call.target.as_deref().into_iter().chain(&call.args).collect::<Vec<_>>())
        }
        Expr::Select(select) => depth(&select.operand),
        Expr::List(list) => deepest(&list.elements.iter().collect::<Vec<_>>()),
        Expr::Map(map) => map.entries.iter().map(|entry| entry_depth(&entry.expr)).max().unwrap_or_default(),
        Expr::Struct(of) => of.entries.iter().map(|entry| entry_depth(&entry.expr)).max().unwrap_or_default(),
        Expr::Comprehension(all) => {
            deepest(&[&all.iter_range, &all.accu_init, &all.loop_cond, &all.loop_step, &all.result])
        }
    }
}

fn entry_depth(entry: &EntryExpr) -> usize {
    match entry {
        EntryExpr::StructField(field) => depth(&field.value),
        EntryExpr::MapEntry(entry) => depth(&entry.key).max(depth(&entry.value)),
    }
}
