//! The part of cymbals.h that this program uses.

use std::ffi::{c_char, c_void};
use std::mem::size_of;
use std::ptr::{null, null_mut};

pub const OK: i32 = 0;
pub const FLOAT32: i32 = 0;
pub const INT32: i32 = 2;
pub const EXPLICIT: i32 = 2;
pub const EXACT: i32 = 2;

pub enum Workspace {}
pub enum Index {}

#[repr(C)]
pub struct WorkspaceOptions {
    pub struct_size: usize,
    pub n_threads: i32,
    pub simd: i32,
    pub progress: Option<extern "C" fn(*mut c_void, i64, i64) -> i32>,
    pub progress_context: *mut c_void,
    pub record: i32,
}

/// CYMBALS_WORKSPACE_OPTIONS_INIT.
impl Default for WorkspaceOptions {
    fn default() -> Self {
        let struct_size = size_of::<Self>();
        Self { struct_size, n_threads: 1, simd: 0, progress: None, progress_context: null_mut(), record: 0 }
    }
}

#[repr(C)]
pub struct Csr {
    pub struct_size: usize,
    pub n_rows: i64,
    pub n_cols: i64,
    pub indptr: *const i64,
    pub indices: *const c_void,
    pub index_type: i32,
    pub values: *const c_void,
    pub value_type: i32,
}

impl Csr {
    /// Borrows the slices without a lifetime: they must live longer than the Csr.
    pub fn new(indptr: &[i64], indices: &[i32], values: &[f32], n_cols: usize) -> Self {
        Self {
            struct_size: size_of::<Self>(),
            n_rows: indptr.len() as i64 - 1,
            n_cols: n_cols as i64,
            indptr: indptr.as_ptr(),
            indices: indices.as_ptr().cast(),
            index_type: INT32,
            values: values.as_ptr().cast(),
            value_type: FLOAT32,
        }
    }
}

#[repr(C)]
pub struct Matrix {
    pub struct_size: usize,
    pub data: *mut c_void,
    pub n_rows: i64,
    pub n_cols: i64,
    pub stride: i64,
    pub r#type: i32,
}

impl Matrix {
    /// Borrows `rows` of f numbers each, without a lifetime: they must live longer than the Matrix.
    pub fn new(rows: &mut [f32], f: usize) -> Self {
        let (n_rows, f) = ((rows.len() / f) as i64, f as i64);
        let data = rows.as_mut_ptr().cast();
        Self { struct_size: size_of::<Self>(), data, n_rows, n_cols: f, stride: f, r#type: FLOAT32 }
    }
}

#[repr(C)]
pub struct Objective {
    pub struct_size: usize,
    pub kind: i32,
    pub confidence: i32,
    pub alpha: f64,
    pub epsilon: f64,
    pub alpha0: f64,
}

impl Objective {
    /// The objective for ratings, which all have the same weight.
    pub fn explicit() -> Self {
        let struct_size = size_of::<Self>();
        Self { struct_size, kind: EXPLICIT, confidence: 0, alpha: 1.0, epsilon: 1.0, alpha0: 0.0 }
    }
}

#[repr(C)]
pub struct SolveOptions {
    pub struct_size: usize,
    pub solver: i32,
    pub cg_steps: i32,
    pub cg_tolerance: f64,
    pub relaxation: f64,
    pub compact: i32,
    pub reg: f64,
    pub row_reg: *const f64,
}

/// CYMBALS_SOLVE_OPTIONS_INIT.
impl Default for SolveOptions {
    fn default() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            solver: 0,
            cg_steps: 3,
            cg_tolerance: 0.016,
            relaxation: 1.0,
            compact: 1,
            reg: 0.0,
            row_reg: null(),
        }
    }
}

#[repr(C)]
#[derive(Default)]
pub struct SolveInfo {
    pub rows_empty: i64,
    pub rows_cg: i64,
    pub rows_dual: i64,
    pub rows_primal: i64,
    pub cg_steps: i64,
    pub rows_retried: i64,
    pub failed_row: i64,
}

#[rustfmt::skip]
extern "C" {
    pub fn cymbals_status_message(status: i32) -> *const c_char;
    pub fn cymbals_workspace_create(options: *const WorkspaceOptions, workspace: *mut *mut Workspace) -> i32;
    pub fn cymbals_workspace_destroy(workspace: *mut Workspace);
    pub fn cymbals_workspace_message(workspace: *const Workspace) -> *const c_char;
    pub fn cymbals_transpose(workspace: *mut Workspace, matrix: *const Csr, t_indptr: *mut i64, t_indices: *mut c_void,
        t_index_type: i32, t_values: *mut c_void) -> i32;
    pub fn cymbals_half_step(workspace: *mut Workspace, rows: *const Csr, objective: *const Objective,
        fixed: *const Matrix, spectrum: *const f64, solved: *mut Matrix, options: *const SolveOptions,
        info: *mut SolveInfo) -> i32;
    pub fn cymbals_solve_row(workspace: *mut Workspace, n: i64, indices: *const c_void, index_type: i32,
        values: *const c_void, value_type: i32, objective: *const Objective, fixed: *const Matrix,
        spectrum: *const f64, solved: *mut c_void, options: *const SolveOptions, info: *mut SolveInfo) -> i32;
    pub fn cymbals_index_create(workspace: *mut Workspace, items: *const Matrix, item_list: *const i64, n_list: i64,
        item_scale: *const c_void, index: *mut *mut Index) -> i32;
    pub fn cymbals_index_destroy(index: *mut Index);
    pub fn cymbals_index_topk(workspace: *mut Workspace, index: *const Index, queries: *const Matrix,
        skip: *const Csr, k: i64, ids: *mut i64, scores: *mut c_void) -> i32;
}
