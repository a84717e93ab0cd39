// What Rust's names look like: methods, traits, generics.
mod shapes {
    pub trait Area {
        fn area(&self) -> i64;
    }
    pub struct Square {
        pub side: i64,
    }
    impl Square {
        #[inline(never)]
        pub fn new(side: i64) -> Square {
            Square { side }
        }
    }
    impl Area for Square {
        #[inline(never)]
        fn area(&self) -> i64 {
            self.side * self.side
        }
    }
}
use shapes::{Area, Square};

#[inline(never)]
fn total(all: &[Box<dyn Area>], scale: i64) -> i64 {
    all.iter().map(|a| a.area() * scale).sum()
}

#[inline(never)]
fn generic<T: std::fmt::Debug>(x: T) -> usize {
    format!("{:?}", x).len()
}

fn main() {
    let all: Vec<Box<dyn Area>> = vec![Box::new(Square::new(3)), Box::new(Square::new(5))];
    println!("{} {}", total(&all, 2), generic(12345));
}
