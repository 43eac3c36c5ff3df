autocmd BufRead,BufNewFile *.msl setfiletype msl
