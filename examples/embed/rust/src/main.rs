//! Ratings through cymbals.h, as a service would use it: fits random ratings, then solves one new user as a single row and
//! finds the best items for this user in an index.

mod ffi;

use ffi::*;
use std::ffi::{c_char, CStr};
use std::ptr::{null, null_mut};

const F: usize = 8;
const K: usize = 5;

fn text(message: *const c_char) -> String {
    unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned()
}

/// Owns a workspace.
struct Calls(*mut Workspace);

impl Calls {
    fn new(n_threads: i32) -> Result<Self, String> {
        let options = WorkspaceOptions { n_threads, ..Default::default() };
        let mut workspace = null_mut();
        match unsafe { cymbals_workspace_create(&options, &mut workspace) } {
            OK => Ok(Self(workspace)),
            status => Err(text(unsafe { cymbals_status_message(status) })),
        }
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        unsafe { cymbals_workspace_destroy(self.0) }
    }
}

/// Calls a function with a workspace. On an error, the function that uses this macro returns the message.
macro_rules! call {
    ($calls:ident.$function:ident($($argument:expr),*)) => {
        if unsafe { $function($calls.0, $($argument),*) } != OK {
            return Err(text(unsafe { cymbals_workspace_message($calls.0) }));
        }
    };
}

fn best(calls: &Calls, index: *const Index, user: &mut [f32], seen: &Csr) -> Result<[i64; K], String> {
    let (mut ids, mut scores) = ([0; K], [0f32; K]);
    let scores = scores.as_mut_ptr().cast();
    call!(calls.cymbals_index_topk(index, &Matrix::new(user, F), seen, K as i64, ids.as_mut_ptr(), scores));
    Ok(ids)
}

fn main() -> Result<(), String> {
    let (n_users, n_items) = (400, 300);
    let mut state = 1u64;
    let mut random_below = |n: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) % n
    };
    let (mut indptr, mut indices, mut values) = (vec![0], vec![], vec![]);
    for u in 0..n_users {
        for i in 0..n_items {
            if random_below(10) < 3 {
                indices.push(i as i32);
                values.push((1 + (u + i) % 5) as f32);
            }
        }
        indptr.push(indices.len() as i64);
    }
    let mut start = |n| (0..n * F).map(|_| (random_below(2001) as f32 - 1000.0) / 10000.0).collect::<Vec<_>>();
    let (mut x, mut y) = (start(n_users), start(n_items));

    let calls = Calls::new(2)?;
    let rows = Csr::new(&indptr, &indices, &values, n_items);
    let (mut t_indptr, mut t_indices, mut t_values) = (vec![0; n_items + 1], indices.clone(), values.clone());
    let (to_indices, to_values) = (t_indices.as_mut_ptr().cast(), t_values.as_mut_ptr().cast());
    call!(calls.cymbals_transpose(&rows, t_indptr.as_mut_ptr(), to_indices, INT32, to_values));
    let columns = Csr::new(&t_indptr, &t_indices, &t_values, n_users);
    let (mut users, mut items) = (Matrix::new(&mut x, F), Matrix::new(&mut y, F));

    let objective = Objective::explicit();
    let options = SolveOptions { solver: EXACT, reg: 0.1, ..Default::default() };
    let no_gramian = [0.0; F];
    let spectrum = no_gramian.as_ptr();
    let mut info = SolveInfo::default();
    for _ in 0..10 {
        call!(calls.cymbals_half_step(&rows, &objective, &items, spectrum, &mut users, &options, &mut info));
        call!(calls.cymbals_half_step(&columns, &objective, &users, spectrum, &mut items, &options, &mut info));
    }

    let mut index = null_mut();
    call!(calls.cymbals_index_create(&items, null(), 0, null(), &mut index));
    let seen = Csr::new(&indptr[..2], &indices, &values, n_items);
    println!("user 0: {:?}", best(&calls, index, &mut x[..F], &seen)?);

    let (rated, stars, mut newcomer) = ([0, 1, 4], [5f32, 4.0, 1.0], [0f32; F]);
    let row = Csr::new(&[0, 3], &rated, &stars, n_items);
    let to = newcomer.as_mut_ptr().cast();
    call!(calls.cymbals_solve_row(
        3,
        row.indices,
        INT32,
        row.values,
        FLOAT32,
        &objective,
        &items,
        spectrum,
        to,
        &options,
        &mut info
    ));
    println!("newcomer: {:?}", best(&calls, index, &mut newcomer, &row)?);
    unsafe { cymbals_index_destroy(index) };
    Ok(())
}
