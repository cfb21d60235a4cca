# SPDX-License-Identifier: BSD-2-Clause
#
# A server whose files are slow or impossible to read when the test says so
# (t/shim/reads.c), and that tells which threads have read them.
#
#   my $reads = FCNG::Reads->new($host, @parts_of_paths);
#                             # before it starts
#   $reads->hold;             # from now on a read waits, 20 s at most
#   $reads->waiting;          # so many do
#   $reads->go_on;
#   $reads->fails($errno);    # 0: no more
#   $reads->in_main, $reads->in_threads    # so many reads since the last
#   $reads->forget;
package FCNG::Reads;

use strict;
use warnings;
use parent 'FCNG::Shim';

sub library { 'reads.so' }

sub missing {
    my ($class) = @_;
    return 'valgrind runs one thread at a time' if $ENV{FCNG_VALGRIND};
    return $class->SUPER::missing;
}

sub new {
    my ($class, $host, @files) = @_;
    return $class->SUPER::new($host, 'FCNG_READS_CONTROL',
        { FCNG_READS_FILES => join(':', @files) }, (0) x 8);
}

sub hold { $_[0]->put(0, 1) }
sub go_on { $_[0]->put(0, 0) }
sub fails { $_[0]->put(1, $_[1]) }
sub waiting { $_[0]->read_at(2) }
sub in_main { $_[0]->read_at(3) }
sub in_threads { $_[0]->read_at(4) }
sub forget { $_[0]->put(3, 0)->put(4, 0) }

1;
