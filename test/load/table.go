package main

import (
	"fmt"
	"slices"

	"posthaste/test/harness"
)

// row is one setting's result, as JSON.
type row struct {
	Sessions, Size, Messages int
	Posthaste, Postfix       []figures
	RateRatio, CPURatio      float64 // medians of the ratios of the rounds
	P95Ratio, PSSRatio       float64
}

func report(s setting, messages int, all map[harness.System][]figures) row {
	ours, theirs := all[harness.Ours], all[harness.Postfix]
	return row{Sessions: s.Sessions, Size: s.Size, Messages: messages, Posthaste: ours, Postfix: theirs,
		RateRatio: ratio(ours, theirs, func(f figures) float64 { return f.Rate }),
		CPURatio:  ratio(ours, theirs, func(f figures) float64 { return f.CPU }),
		P95Ratio:  ratio(ours, theirs, func(f figures) float64 { return f.P95 }),
		PSSRatio:  ratio(ours, theirs, func(f figures) float64 { return f.PSS })}
}

// ratio is the median of ours / theirs over the rounds; 0 when one is missing.
func ratio(ours, theirs []figures, of func(figures) float64) float64 {
	var all []float64
	for i := range min(len(ours), len(theirs)) {
		if d := of(theirs[i]); d > 0 {
			all = append(all, of(ours[i])/d)
		}
	}
	return median(all)
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}

func printHead() {
	fmt.Println("| sessions | kB | system | messages/s (min–max) | CPU ms/message | 250 after p50 ms | p95 ms | PSS MiB |")
	fmt.Println("|--:|--:|--|--:|--:|--:|--:|--:|")
}

func printRow(s setting, messages int, all map[harness.System][]figures) {
	for _, system := range []harness.System{harness.Ours, harness.Postfix} {
		f := all[system]
		if len(f) == 0 {
			continue
		}
		pick := func(of func(figures) float64) []float64 {
			var v []float64
			for _, x := range f {
				v = append(v, of(x))
			}
			return v
		}
		rates := pick(func(f figures) float64 { return f.Rate })
		fmt.Printf("| %d | %d | %s | %.0f (%.0f–%.0f) | %.2f | %.1f | %.1f | %.0f |\n", s.Sessions, s.Size/1000, system,
			median(rates), slices.Min(rates), slices.Max(rates),
			median(pick(func(f figures) float64 { return f.CPU })),
			median(pick(func(f figures) float64 { return f.P50 })),
			median(pick(func(f figures) float64 { return f.P95 })),
			median(pick(func(f figures) float64 { return f.PSS })))
	}
	if r := report(s, messages, all); r.RateRatio > 0 {
		fmt.Printf("| | | **ratio** | **%.2f** | **%.2f** | | **%.2f** | **%.2f** |\n", r.RateRatio, r.CPURatio, r.P95Ratio, r.PSSRatio)
	}
}
