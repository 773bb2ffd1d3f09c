// As ../../../work/matrix.h: the same matrices, leaves and checksum.

const LEAF_SIZE: usize = 32;
const MODULUS: u64 = 1_000_000_007;

fn value_of_a(row: usize, column: usize) -> i32 {
    ((3 * row + 5 * column) % 7) as i32
}
fn value_of_b(row: usize, column: usize) -> i32 {
    ((2 * row + 11 * column) % 5) as i32
}
fn row_weight(row: usize) -> u64 {
    row as u64 + 1
}
fn column_weight(column: usize) -> u64 {
    2 * column as u64 + 1
}

// What is still to be multiplied: c += a * b, squares of `size` inside rows of `stride` numbers. Raw pointers, because several tasks
// write to disjoint squares of one matrix, and a spawned task cannot borrow.
#[derive(Clone, Copy)]
pub struct Product {
    a: *const i32,
    b: *const i32,
    c: *mut i32,
    size: usize,
    stride: usize,
}
unsafe impl Send for Product {}

impl Product {
    pub fn is_leaf(&self) -> bool {
        self.size <= LEAF_SIZE
    }

    // Into each quarter of c: column `inner` of the quarters of a, by row `inner` of those of b.
    pub fn quarters(&self, inner: usize) -> [Product; 4] {
        let half = self.size / 2;
        let part = |row: usize, column: usize| unsafe {
            Product {
                a: self.a.add((row * self.stride + inner) * half),
                b: self.b.add((inner * self.stride + column) * half),
                c: self.c.add((row * self.stride + column) * half),
                size: half,
                stride: self.stride,
            }
        };
        [part(0, 0), part(0, 1), part(1, 0), part(1, 1)]
    }

    pub fn multiply(&self) {
        for i in 0..self.size {
            let c = unsafe { std::slice::from_raw_parts_mut(self.c.add(i * self.stride), self.size) };
            for k in 0..self.size {
                let (a, b) = unsafe {
                    (*self.a.add(i * self.stride + k), std::slice::from_raw_parts(self.b.add(k * self.stride), self.size))
                };
                for (sum, factor) in c.iter_mut().zip(b) {
                    *sum += a * factor;
                }
            }
        }
    }
}

pub struct Matrices {
    size: usize,
    a: Vec<i32>,
    b: Vec<i32>,
    c: Vec<i32>,
}

impl Matrices {
    pub fn new(size: usize) -> Matrices {
        let places = || (0..size).flat_map(move |i| (0..size).map(move |j| (i, j)));
        Matrices {
            size,
            a: places().map(|(i, j)| value_of_a(i, j)).collect(),
            b: places().map(|(i, j)| value_of_b(i, j)).collect(),
            c: vec![0; size * size],
        }
    }

    // Sets C to zero; what is to be computed then.
    pub fn begin(&mut self) -> Product {
        self.c.fill(0);
        Product { a: self.a.as_ptr(), b: self.b.as_ptr(), c: self.c.as_mut_ptr(), size: self.size, stride: self.size }
    }

    pub fn leaves(&self) -> i64 {
        ((self.size / LEAF_SIZE) as i64).pow(3)
    }

    pub fn checksum(&self) -> i64 {
        let row_sum = |i: usize| {
            (0..self.size).fold(0u64, |sum, j| {
                sum.wrapping_add((self.c[i * self.size + j] as u64).wrapping_mul(column_weight(j)))
            })
        };
        let sum = (0..self.size).fold(0u64, |sum, i| sum.wrapping_add(row_weight(i).wrapping_mul(row_sum(i))));
        (sum % MODULUS) as i64
    }
}

pub fn right_checksum(size: usize) -> i64 {
    let mut sum = 0u64;
    for k in 0..size {
        let of_a: u64 = (0..size).map(|i| row_weight(i) * value_of_a(i, k) as u64).sum();
        let of_b: u64 = (0..size).map(|j| value_of_b(k, j) as u64 * column_weight(j)).sum();
        sum = sum.wrapping_add(of_a.wrapping_mul(of_b));
    }
    (sum % MODULUS) as i64
}
