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
    my $self = $class->SUPER::new($host, 0);
    # The runtime of a sanitizer calls what stands behind it.
    $host->{env} = { LD_PRELOAD => join(':', $ENV{FCNG_PRELOAD} || (),
            $host->module_copy($class->shim)),
        FCNG_SENDS_CONTROL => $self->{file} };
    return $self;
}

sub count { $_[0]->read_at(0) }

1;
