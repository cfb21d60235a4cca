# SPDX-License-Identifier: BSD-2-Clause
#
# What every kind of row shares: the settings, what is wanted of all, and what
# was found.
package Bench;

use strict;
use warnings;
use Exporter 'import';
use FCNG::Util qw(out slurp spew);
use JSON::PP ();
use Measure;
use POSIX ();

our @EXPORT = qw(CLIENTS DISTURBED MIB note bar wanted);

use constant { CLIENTS => 64, MIB => 1_048_576, DISTURBED => 0.1 };

our $rounds = $ENV{ROUNDS} || 10;
our $seconds = int($ENV{SECONDS} || 1) || 1;
our $requests = $ENV{REQUESTS} || 500_000;
our %result = (machine => machine(), clients => CLIENTS, rounds => $rounds,
    seconds => $seconds, rows => [], bars => []);

# Rounds of all rows but the first.
sub half { int(($rounds + 1) / 2) }

sub die_unable { print STDERR "bench: @_\n"; exit 2 }

sub machine {
    my ($model) = slurp('/proc/cpuinfo') =~ /^model name\s*:\s*(.+)$/m;
    my ($kb) = slurp('/proc/meminfo') =~ /^MemTotal:\s+(\d+)/m;
    return { processor => $model // 'unknown', processors => Measure::cpus(),
        memory_mib => int(($kb // 0) / 1024), kernel => (POSIX::uname())[2],
        pinned => Measure::pins() };
}

# ---- what is wanted ----

my @servers = qw(nginx apache);
my (@kinds, @rows, %only);

# The words that ONLY= may have.
sub choose {
    my ($kinds, $rows) = @_;
    @kinds = @$kinds;
    @rows = @$rows;
    %only = map { $_ => 1 } split /[\s,]+/, $ENV{ONLY} // '';
    my %known = map { $_ => 1 } @servers, @kinds, @rows;
    if (my @unknown = sort grep { !$known{$_} } keys %only) {
        die_unable("ONLY=@unknown: it may be " . join ' ', sort keys %known);
    }
    # Whoever asks for one row wants its speed alone.
    $only{speed} = 1 if !any(@kinds) && any(@rows);
}

sub any { scalar grep { $only{$_} } @_ }

sub named { $only{$_[0]} }

# Whether a server, a kind or a row is wanted: it is named, or none of its like
# is.
sub wanted {
    my ($word) = @_;
    my ($group) = grep { my $words = $_; grep { $_ eq $word } @$words }
        \@servers, \@kinds, \@rows;
    return $only{$word} || !any(@$group);
}

# ---- what was found ----

sub note { print "  $_[0]\n"; push @{ $result{notes} }, $_[0] }

sub bar {
    my ($what, $value, $how, $limit, $format) = @_;
    push @{ $result{bars} }, { what => $what, measured => $value,
        bar => "$how $limit", format => $format,
        kept => $how eq '<=' ? $value <= $limit : $value >= $limit };
}

sub bars {
    my $missed = 0;
    printf "\n%-52s %10s %9s\n", 'bar', 'measured', 'wanted';
    for my $bar (@{ $result{bars} }) {
        printf "%-52s %10s %9s  %s\n", $bar->{what},
            sprintf(delete $bar->{format}, $bar->{measured}), $bar->{bar},
            $bar->{kept} ? 'kept' : 'MISSED';
        $missed++ if !$bar->{kept};
        $bar->{kept} = $bar->{kept} ? JSON::PP::true() : JSON::PP::false();
    }
    return $missed;
}

sub write_json {
    my $dir = out() . '/bench';
    mkdir $dir;
    spew("$dir/bench.json", JSON::PP->new->canonical->pretty
        ->encode(\%result));
    print "\n$dir/bench.json\n";
}

1;
