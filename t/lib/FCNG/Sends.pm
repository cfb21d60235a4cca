# SPDX-License-Identifier: BSD-2-Clause
#
# A server that counts its writes to sockets (t/shim/sends.c).
#
#   my $sends = FCNG::Sends->new($host);      # before it starts
#   $sends->count;                            # so many in all
package FCNG::Sends;

use strict;
use warnings;
use parent 'FCNG::Shim';

sub library { 'sends.so' }

sub new {
    my ($class, $host) = @_;
    return $class->SUPER::new($host, 'FCNG_SENDS_CONTROL', {}, 0);
}

sub count { $_[0]->read_at(0) }

1;
