" Comments, indentation, `:MslFormat` by mslc fmt, `:MslCheck` into the quickfix list.
if exists('b:did_ftplugin')
  finish
endif
let b:did_ftplugin = 1

setlocal commentstring=//\ %s comments=:///,:// shiftwidth=2 softtabstop=2 expandtab

command! -buffer MslCheck call s:check()
command! -buffer MslFormat call s:format()
let b:undo_ftplugin = 'setlocal commentstring< comments< shiftwidth< softtabstop< expandtab | delcommand MslCheck | delcommand MslFormat'

if exists('*s:check')
  finish
endif

function! s:command() abort
  return shellescape(get(g:, 'msl_command', 'mslc'))
endfunction

" The errors and warnings of the file on the disk.
function! s:check() abort
  update
  let l:found = []
  for l:line in systemlist(s:command() . ' check --json ' . shellescape(expand('%:p')) . ' 2>/dev/null')
    if l:line[0] !=# '{'
      continue
    endif
    let l:d = json_decode(l:line)
    let l:text = '[' . l:d.code . '] ' . l:d.message . (type(l:d.help) == type('') ? ' (' . l:d.help . ')' : '')
    " Columns of mslc count characters, those of the quickfix list bytes.
    let l:start = l:d.start
    let l:here = filereadable(l:d.file) ? get(readfile(l:d.file, '', l:start.line), l:start.line - 1, '') : ''
    let l:col = strlen(strcharpart(l:here, 0, l:start.column - 1)) + 1
    call add(l:found, {'filename': l:d.file, 'lnum': l:start.line, 'col': l:col, 'text': l:text,
          \ 'type': toupper(l:d.severity[0])})
  endfor
  call setqflist([], ' ', {'title': 'mslc check', 'items': l:found})
  if empty(l:found)
    cclose
    echo 'no errors'
  else
    copen
    cfirst
  endif
endfunction

" The whole buffer; one that cannot be read is left alone.
function! s:format() abort
  let l:out = systemlist(s:command() . ' fmt - 2>/dev/null', getline(1, '$'))
  if v:shell_error
    echohl ErrorMsg | echo 'not formatted: :MslCheck shows why' | echohl None
    return
  endif
  let l:view = winsaveview()
  if len(l:out) < line('$')
    silent execute (len(l:out) + 1) . ',$delete _'
  endif
  call setline(1, l:out)
  call winrestview(l:view)
endfunction
