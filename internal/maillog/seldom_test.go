package maillog

import (
	"fmt"
	"testing"
	"time"
)

func TestSeldom(t *testing.T) {
	var s Seldom
	told, lasts := 0, 0
	for at := range 10 {
		for k := range 1000 {
			news, last := s.News(fmt.Sprint(k), time.Duration(at)*time.Minute)
			if news {
				told++
			}
			if last {
				lasts++
			}
		}
	}
	if told != seldomMost || lasts != 1 {
		t.Errorf("%d things were told, %d times the last", told, lasts)
	}
	if news, _ := s.News("0", 2*time.Minute); news {
		t.Error("told twice")
	}
	if news, _ := s.News("0", seldomEvery+time.Minute); !news {
		t.Error("not told again after an hour")
	}
}
