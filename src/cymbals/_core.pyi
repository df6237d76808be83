from typing import Any

class SolveError(ArithmeticError):
    row: int
    too_heavy: bool
    def __init__(self, message: str, row: int, too_heavy: bool = False) -> None: ...

def version() -> str: ...
def compiler() -> str: ...
def abi_version() -> int: ...
def simd_name(simd: int = 0) -> str: ...

class Workspace:
    n_threads: int
    def __init__(self, n_threads: int, simd: int = 0, record: bool = False) -> None: ...
    @property
    def nbytes(self) -> int: ...
    def spans(self) -> tuple[bytes, int]: ...
    def row_classes(self) -> bytes: ...
    def forget(self) -> None: ...

WorkspaceOrThreads = Workspace | int

def measure_peaks(workspace: WorkspaceOrThreads, simd: int = 0) -> tuple[float, float, float, float]: ...
def gram(y: Any, out: Any, workspace: WorkspaceOrThreads, simd: int = 0) -> None: ...
def gram_segments(n_rows: int, n_cols: int) -> list[int]: ...
def gram_parts(y: Any, begins: Any, sums: Any, workspace: WorkspaceOrThreads, simd: int = 0) -> None: ...
def basis(values: Any, vectors: Any, alpha0: float, spectrum: Any, out: Any) -> None: ...
def rotate(x: Any, vectors: Any, workspace: WorkspaceOrThreads, simd: int = 0) -> None: ...
def half_step(
    rows: Any,
    objective: tuple[int, int, float, float, float],
    fixed: Any,
    spectrum: Any,
    solved: Any,
    reg: Any,
    solver: int,
    cg_steps: int,
    cg_tolerance: float,
    relaxation: float,
    compact: int,
    workspace: WorkspaceOrThreads,
    simd: int = 0,
    prior: Any = None,
    part: tuple[float, float, bool] | None = None,
    first_row: int = 0,
    copy: tuple[Any, Any, Any] | None = None,
) -> dict[str, int]: ...
def compress(
    fixed: Any,
    spectrum: Any,
    least_reg: float,
    most_reg: float,
    pairs: Any,
    leverage: Any,
    workspace: WorkspaceOrThreads,
    simd: int = 0,
) -> None: ...
def compact_width(f: int) -> int: ...
def heaviest_compact() -> int: ...
def half_step_bytes(
    rows: Any, fixed: Any, solver: int, cg_steps: int, compact: int, workspace: WorkspaceOrThreads, simd: int = 0
) -> int: ...
def draw_normal(out: Any, key: int, stream: int, first_row: int, scale: float, workspace: WorkspaceOrThreads) -> None: ...
def solve_row(
    indices: Any,
    values: Any,
    objective: tuple[int, int, float, float, float],
    fixed: Any,
    spectrum: Any,
    solved: Any,
    reg: float,
    solver: int,
    cg_steps: int,
    cg_tolerance: float,
    workspace: WorkspaceOrThreads,
    simd: int = 0,
) -> None: ...
def solve_and_rank(
    index: Index,
    row: Any,
    objective: tuple[int, int, float, float, float],
    fixed: Any,
    spectrum: Any,
    vectors: Any,
    solved: Any,
    reg: float,
    solver: int,
    cg_steps: int,
    cg_tolerance: float,
    exclude: bool,
    ids: Any,
    scores: Any,
    workspace: WorkspaceOrThreads,
    simd: int = 0,
) -> None: ...
def loss(
    rows: Any, objective: tuple[int, int, float, float, float], x: Any, y: Any, workspace: WorkspaceOrThreads, simd: int = 0
) -> float: ...
def transpose(matrix: Any, t_indptr: Any, t_indices: Any, t_values: Any, workspace: WorkspaceOrThreads) -> None: ...
def from_triplets(
    rows: Any,
    cols: Any,
    values: Any,
    shape: tuple[int, int],
    indptr: Any,
    indices: Any,
    out: Any,
    workspace: WorkspaceOrThreads,
) -> None: ...
def check_csr(matrix: Any, workspace: WorkspaceOrThreads) -> tuple[int, int, int]: ...
def topk(
    queries: Any,
    items: Any,
    item_list: Any,
    item_scale: Any,
    skip: Any,
    ids: Any,
    scores: Any,
    workspace: WorkspaceOrThreads,
    simd: int = 0,
) -> None: ...

class Index:
    def __init__(
        self, items: Any, item_list: Any, item_scale: Any, workspace: WorkspaceOrThreads, simd: int = 0
    ) -> None: ...
    @property
    def nbytes(self) -> int: ...
    def topk(
        self, queries: Any, skip: Any, ids: Any, scores: Any, workspace: WorkspaceOrThreads, simd: int = 0
    ) -> None: ...

def merge_rows(
    matrix: Any,
    changes: Any,
    rows: Any,
    indptr: Any,
    workspace: WorkspaceOrThreads,
    indices: Any = None,
    out: Any = None,
) -> None: ...
def rank_metrics(
    users: Any,
    items: Any,
    train: Any,
    test: Any,
    k: Any,
    out: Any,
    covered: Any,
    novelty: Any,
    workspace: WorkspaceOrThreads,
    simd: int = 0,
) -> None: ...
def count_lines(data: Any, workspace: WorkspaceOrThreads) -> int: ...
def parse_numbers(
    data: Any, numbers: Any, workspace: WorkspaceOrThreads, names: bool = False
) -> tuple[int, list[tuple[int, int]]]: ...
def number_ids(ids: Any, lowest: int, table: Any, workspace: WorkspaceOrThreads) -> int: ...
def look_up_ids(ids: Any, lowest: int, table: Any, places: Any, workspace: WorkspaceOrThreads) -> None: ...
def renumber(codes: Any, table: Any, places: Any, used: Any, workspace: WorkspaceOrThreads) -> None: ...
def count_ids(ids: Any, lowest: int, counts: Any, codes: Any, workspace: WorkspaceOrThreads) -> None: ...
def code_ids(
    ids: Any, slots: Any, known: Any, counts: Any, n_known: int, codes: Any, workspace: WorkspaceOrThreads
) -> tuple[int, int]: ...
def code_texts(
    offsets: Any,
    text: Any,
    slots: Any,
    known_offsets: Any,
    known: Any,
    counts: Any,
    n_known: int,
    codes: Any,
    workspace: WorkspaceOrThreads,
) -> tuple[int, int]: ...
def group(
    rows: Any,
    shift: int,
    first: int,
    table: Any,
    begins: Any,
    fields: Any,
    grouped: Any,
    workspace: WorkspaceOrThreads,
) -> None: ...
