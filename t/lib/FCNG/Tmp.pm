# SPDX-License-Identifier: BSD-2-Clause
#
# The folder for temporary files, and whether it is one that servers can use.
package FCNG::Tmp;

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);

# The name of a Unix socket has 107 bytes; tests add up to 46 to TMPDIR.
use constant LONGEST => 60;

# TMPDIR, unless the server's user could not enter it.
sub root {
    my $dir = $ENV{TMPDIR} || '/tmp';
    return $dir if $> != 0;
    for (my $up = abs_path($dir) // '/'; $up ne '/'; $up = dirname $up) {
        return '/tmp' if !((stat $up)[2] & 001);
    }
    return $dir;
}

# What is wrong with TMPDIR, in words; nothing when it will do.
sub fault {
    my $dir = $ENV{TMPDIR} || '/tmp';
    my $fault = $dir !~ m{^/} ? 'is no absolute path'
        : !-d $dir ? 'is no folder'
        : !-w $dir || !-x _ ? 'cannot be written by this user'
        : $dir =~ m{([^\w/.+@%~\x80-\xff-])}
            ? "has '$1' in it, which servers' configurations cannot take"
        : length $dir > LONGEST
            ? 'is too long for the names of sockets: ' . length($dir)
                . ' bytes, at most ' . LONGEST
        : return;
    return "TMPDIR=$dir $fault";
}

1;
