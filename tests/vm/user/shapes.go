// What Go's names look like: methods, closures, generics.
package main

import "fmt"

type Square struct{ side int }

//go:noinline
func (s *Square) Area(scale int) int { return s.side * s.side * scale }

//go:noinline
func add(a, b int, name string) int { return a + b + len(name) }

func main() {
	f := func(x int) int { return add(x, 2, "abc") }
	got := make(chan int)
	go func() { got <- f(40) }()
	fmt.Println(<-got, (&Square{4}).Area(2))
}
