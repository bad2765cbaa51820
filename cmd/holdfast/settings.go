package main

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// settings are the flags that dev and server share, as the user wrote them.
type settings struct {
	address        string
	scheme         string
	trustedProxies []string
	domains        []string
	region         string
	logFormat      string
	logLevel       string
	reclaimAfter   time.Duration
	scrubInterval  time.Duration
	drain          time.Duration
	memoryLimit    string
	metricsToken   string
	configFile     string
}

// configFlag names the file with the other flags.
const configFlag = "config"

func (s *settings) bind(f *pflag.FlagSet) {
	f.StringVar(&s.configFile, configFlag, "", "YAML file with any of these settings, under the names of the flags; flags and environment come first")
	f.StringVar(&s.scheme, "scheme", "", "data and parity shards of new objects, such as 4+2; chosen by the number of drives when not given. Decided at the first start")
	f.StringArrayVar(&s.trustedProxies, "trusted-proxy", nil, "network (CIDR) of a reverse proxy whose X-Forwarded-Proto is believed; repeatable")
	f.StringArrayVar(&s.domains, "domain", nil, "host name below which a first label is a bucket (virtual-host style); repeatable")
	f.StringVar(&s.region, "region", "us-east-1", "region that requests are signed for")
	f.StringVar(&s.logFormat, "log-format", "text", "text or json")
	f.StringVar(&s.logLevel, "log-level", "info", "debug, info, warn or error; debug has a line a request")
	f.DurationVar(&s.reclaimAfter, "reclaim-after", time.Minute, "how long deleted data stays on the drives, for reads under way")
	f.DurationVar(&s.scrubInterval, "scrub-interval", 7*24*time.Hour, "time in which every shard is read and verified once; 0 turns scrub off")
	f.DurationVar(&s.drain, "drain-timeout", 30*time.Second, "how long requests under way may take when the server stops")
	f.StringVar(&s.memoryLimit, "memory-limit", "", "soft limit of the Go heap, such as 512MiB; GOMEMLIMIT is another way to set it")
	f.StringVar(&s.metricsToken, "metrics-token-file", "", "file with the bearer token that opens /-/metrics to other machines")
}

// envPrefix begins the environment variable of each flag: --log-level is HOLDFAST_LOG_LEVEL. A
// repeatable flag takes its values separated by commas.
const envPrefix = "HOLDFAST_"

func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fromElsewhere sets the flags that were not given: from the environment, then from the file.
func (s *settings) fromElsewhere(f *pflag.FlagSet) error {
	if err := fromEnv(f); err != nil {
		return err
	}
	return fromFile(f, s.configFile)
}

// fromEnv sets every flag that was not given from its environment variable, if that is set.
func fromEnv(f *pflag.FlagSet) error {
	var failed error
	f.VisitAll(func(flag *pflag.Flag) {
		value, ok := os.LookupEnv(envName(flag.Name))
		if !ok || flag.Changed || failed != nil {
			return
		}
		values := []string{value}
		if _, many := flag.Value.(pflag.SliceValue); many {
			values = strings.Split(value, ",")
		}
		for _, v := range values {
			if err := f.Set(flag.Name, strings.TrimSpace(v)); err != nil {
				failed = fmt.Errorf("%s: %w", envName(flag.Name), err)
			}
		}
	})
	return failed
}

// prefixes takes --trusted-proxy values: networks, or single addresses.
func prefixes(texts []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			addr, errAddr := netip.ParseAddr(text)
			if errAddr != nil {
				return nil, fmt.Errorf("--trusted-proxy %q is neither a network such as 10.0.0.0/8 nor an address", text)
			}
			p = netip.PrefixFrom(addr, addr.BitLen())
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

// byteSize takes a size such as 512MiB, 2GiB or a plain number of bytes.
func byteSize(text string) (int64, error) {
	digits, shift := text, 0
	for unit, s := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40} {
		if rest, ok := strings.CutSuffix(text, unit); ok {
			digits, shift = rest, s
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	if err != nil || n < 0 || n > (1<<62)>>shift {
		return 0, fmt.Errorf("%q is not a size in bytes, KiB, MiB, GiB or TiB", text)
	}
	return n << shift, nil
}
